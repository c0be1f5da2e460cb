//! The layers around a service's routes, the same for a peer in this process and for the wire.
use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceBuilder;
use tower::util::BoxCloneSyncService;

use crate::{AccessTable, HttpService, RpcMetrics};

mod auth;
mod deadline;
mod limit;
mod middleware;
mod observe;
mod panic;
mod patient;
mod refusals;
mod transport;
mod unread;

pub use auth::{Authenticator, TokenAuthenticator, bearer};
pub use limit::Limits;
pub use transport::{TransportOptions, listen};

use middleware::layer;

/// Paths that every caller may use without identity, and that overload must not reach: health and reflection.
const OPEN: [&str; 2] = ["/grpc.health.v1.", "/grpc.reflection."];

/// What the layers of one service need.
#[derive(Clone)]
pub struct ServerStack {
    /// The rules of the methods.
    pub access: AccessTable,
    /// How a caller is recognised.
    pub authenticator: Arc<dyn Authenticator>,
    /// Where calls are counted.
    pub metrics: RpcMetrics,
    /// How much may be in flight.
    pub limits: Limits,
    /// Believe the caller's `traceparent`: true inside the mesh, a choice at the public door.
    pub trust_trace: bool,
}

/// Puts the layers around `routes`, outermost first.
pub fn stack(routes: Routes, config: ServerStack) -> HttpService {
    serve(routes.prepare(), config)
}

/// The same around any service over HTTP requests, for the gateway, which forwards.
pub fn serve<S>(inner: S, config: ServerStack) -> HttpService
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let service = ServiceBuilder::new()
        // First, so that everything below is inside the span and in the figures.
        .layer(layer(observe::Observe {
            access: config.access.clone(),
            metrics: config.metrics,
            trust_trace: config.trust_trace,
        }))
        // A panic below becomes INTERNAL and is measured as such.
        .layer(layer(panic::CatchPanic))
        // Names the rule of the method and starts its clock; queueing below counts against the caller's time.
        .layer(layer(deadline::Deadline { access: config.access }))
        // Who is it, may they, and have they quota left: cheap refusals come before any permit is taken.
        .layer(layer(auth::Identify { authenticator: config.authenticator }))
        // Shed early, fair by tenant; the permit is held to the last byte.
        .layer(layer(limit::Limit::new(config.limits)))
        // Closest to the handlers, because only their library's own answers are meant.
        .layer(layer(refusals::Refusals))
        .service(inner);
    BoxCloneSyncService::new(service)
}

fn is_open(path: &str) -> bool {
    OPEN.iter().any(|prefix| path.starts_with(prefix))
}
