//! How a call is made and served, the same in one process and over the wire.
//!
//! A service hands over [`Service`] (its routes and background work); [`server::stack`] puts the layers around the
//! routes: trace · metrics · catch-panic · deadline · identity · access · limits. A caller holds a [`Channel`], which
//! adds trace, deadline left and identity of the current call and does not tell whether its peer is local.
//!
//! Not here: sockets to listen on, configuration, exporters (`copydesk-runtime`); generated messages (`copydesk-proto`);
//! retries (the run engine, provider calls and the gateway own theirs).

mod access;
mod body;
mod caller;
mod channel;
mod context;
mod error;
mod metrics;
pub mod paging;
pub mod reflection;
pub mod server;
mod service;
mod stream;
pub mod testing;
mod token;
pub mod trace;
mod turns;
mod violations;

pub use access::{AccessError, AccessTable, MethodAccess, RateClass, Visibility};
pub use caller::Caller;
pub use channel::{Channel, HttpService};
pub use context::{CallContext, Delegation, Minter};
pub use error::{DOMAIN, Kind, ServiceError};
pub use metrics::RpcMetrics;
pub use service::{ReadyCheck, Service, ServiceContext, Task};
pub use stream::{Closed, ProducedStream, StreamSink, produce};
pub use token::{Claims, SigningKey, TokenError, Trust, Verifier};
pub use trace::current_trace_id;
pub use turns::{Turn, Turns};
pub use violations::Violations;
