//! The outside world behind the ports.
mod clock;
mod store;

pub use clock::SystemClock;
pub use store::{DatabaseStore, MIGRATOR};
