//! The outside world behind the ports.
mod clock;
mod queue;
mod redis;
mod replica;
mod store;

pub use clock::SystemClock;
pub use queue::{Queue, QueueError};
pub(crate) use redis::Redis;
pub use redis::{BadUrl, Patience};
pub use replica::{Replica, ReplicaError};
pub use store::{DatabaseStore, MIGRATOR};
