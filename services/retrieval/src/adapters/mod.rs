//! What the ports are made of: the database, the index in memory, the system's clock.

mod clock;
mod memory_index;
mod ocr;
mod reader;
mod store;

pub use clock::SystemClock;
pub use memory_index::MemoryIndex;
pub use ocr::RouterOcr;
pub use reader::{ARGUMENT, ProcessReader, run_child};
pub use store::{DatabaseStore, MIGRATOR};
