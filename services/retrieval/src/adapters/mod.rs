//! What the ports are made of: the database, the index in memory, the system's clock.

mod catch_up;
mod clock;
mod memory_index;
mod store;

pub use clock::SystemClock;
pub use memory_index::MemoryIndex;
pub use store::{DatabaseStore, MIGRATOR};
