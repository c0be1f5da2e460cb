//! What the ports are made of: the database, the index in memory or in a Qdrant server, the places of
//! objects, the router of models, the web, the
//! system's clock.

mod catch_up;
mod clock;
mod graphs;
mod memory_index;
pub mod objects;
mod ocr;
mod qdrant;
mod reader;
mod router;
mod store;
mod web;

pub use clock::SystemClock;
pub use memory_index::MemoryIndex;
pub use ocr::RouterOcr;
pub use qdrant::QdrantIndex;
pub use reader::{ARGUMENT, ProcessReader, run_child};
pub use router::Router;
pub use store::{DatabaseStore, MIGRATOR};
pub use web::{Answer, Ask, Client, SystemResolver, WebPages};
