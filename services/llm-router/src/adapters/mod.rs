//! The outside world behind the ports.
mod clock;
mod queue;
mod replica;
mod store;

pub use clock::SystemClock;
pub use queue::{Queue, QueueError};
pub use replica::{Replica, ReplicaError};
pub use store::{DatabaseStore, MIGRATOR};
