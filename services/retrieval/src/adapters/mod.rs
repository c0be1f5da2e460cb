//! What the ports are made of: the database, the index in memory, the router of models, the system's clock.

mod catch_up;
mod clock;
mod memory_index;
mod router;
mod store;

pub use clock::SystemClock;
pub use memory_index::MemoryIndex;
pub use router::Router;
pub use store::{DatabaseStore, MIGRATOR};
