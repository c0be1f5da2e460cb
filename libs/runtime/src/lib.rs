//! What belongs to the process: configuration, telemetry, health, the admin port, background tasks and the end.
//!
//! Not here: anything about a single call (`copydesk-rpc`) or a single service. Only the program uses this crate.

pub mod admin;
pub mod config;
mod export;
pub mod health;
mod logs;
pub mod spans;
pub mod tasks;
pub mod telemetry;

pub use health::Health;
pub use spans::{SpanRecord, SpanStore};
pub use tasks::Tasks;
pub use telemetry::{LogFormat, Telemetry, TelemetryConfig};
