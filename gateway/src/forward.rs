//! Passing a call on: by its path alone, in both directions as a stream of frames, nothing decoded.
use std::convert::Infallible;
use std::task::{Context, Poll};

use copydesk_rpc::Channel;
use futures_util::future::BoxFuture;
use http::{Extensions, Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Service, ServiceExt};

use crate::Peers;

/// Metadata of the mesh that a client has no business to send.
const INTERNAL_PREFIX: &str = "x-copydesk-";

/// The gateway's own routes, and the way to everybody else's.
#[derive(Clone)]
pub(crate) struct Forward {
    own: Routes,
    peers: Peers,
}

impl Forward {
    pub(crate) fn new(own: Routes, peers: Peers) -> Self {
        Self { own: own.prepare(), peers }
    }

    fn peer(&self, path: &str) -> Option<&Channel> {
        let package = path.strip_prefix("/copydesk.")?.split('.').next()?;
        match package {
            "llm_router" => Some(&self.peers.llm_router),
            "retrieval" => Some(&self.peers.retrieval),
            "learning" => Some(&self.peers.learning),
            "agent_orchestrator" => Some(&self.peers.agent_orchestrator),
            _ => None,
        }
    }
}

impl Service<Request<Body>> for Forward {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let Some(channel) = self.peer(request.uri().path()) else {
            return Box::pin(self.own.clone().oneshot(request));
        };
        let channel = channel.clone();
        // The peer finds out for itself who calls: what this door knows must not reach it by the back way.
        *request.extensions_mut() = Extensions::new();
        strip(&mut request);
        Box::pin(channel.oneshot(request))
    }
}

fn strip(request: &mut Request<Body>) {
    let internal: Vec<_> =
        request.headers().keys().filter(|name| name.as_str().starts_with(INTERNAL_PREFIX)).cloned().collect();
    for name in internal {
        request.headers_mut().remove(name);
    }
    // The transport sets its own; those of the client's connection end here.
    for name in ["connection", "host", "transfer-encoding", "keep-alive", "upgrade", "cookie"] {
        request.headers_mut().remove(name);
    }
}
