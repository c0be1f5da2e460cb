//! Passing a call on: by its path alone, in both directions as a stream of frames, nothing decoded.
use std::convert::Infallible;
use std::task::{Context, Poll};

use copydesk_rpc::Channel;
use futures_util::future::BoxFuture;
use http::header::{CONNECTION, COOKIE, HOST, HeaderName, PROXY_AUTHORIZATION, TRANSFER_ENCODING, UPGRADE};
use http::{Extensions, HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::{Service, ServiceExt};

use crate::Peers;

/// Metadata of the mesh that a client has no business to send.
const INTERNAL_PREFIX: &str = "x-copydesk-";
/// What ends with the client's connection; the way to the peer sets its own. Cookies are a browser's credentials.
const HOP: [HeaderName; 8] = [
    CONNECTION,
    COOKIE,
    HOST,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    TRANSFER_ENCODING,
    UPGRADE,
];

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
        strip(request.headers_mut());
        Box::pin(channel.oneshot(request))
    }
}

fn strip(headers: &mut HeaderMap) {
    // What the client's connection calls its own, by name; the transport strips it only where there is one.
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let internal = headers.keys().filter(|name| name.as_str().starts_with(INTERNAL_PREFIX)).cloned();
    for name in internal.chain(named).chain(HOP).collect::<Vec<_>>() {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_belongs_to_the_clients_connection_ends_here() {
        let mut headers = HeaderMap::new();
        let sent = [
            ("connection", "close, X-Hop"),
            ("connection", "x-other-hop,,not a name"),
            ("x-hop", "1"),
            ("x-other-hop", "1"),
            ("cookie", "session=1"),
            ("host", "example.com"),
            ("keep-alive", "timeout=5"),
            ("proxy-authorization", "Basic eDp5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-copydesk-tenant", "ten_1"),
            ("x-copydesk-", "1"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("x-copydeskish", "kept"),
            ("x-mine", "kept"),
            ("x-mine", "kept too"),
        ];
        for (name, value) in sent {
            headers.append(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        left.sort();
        let kept: [(&str, &[u8]); 5] = [
            ("content-type", b"application/grpc"),
            ("te", b"trailers"),
            ("x-copydeskish", b"kept"),
            ("x-mine", b"kept"),
            ("x-mine", b"kept too"),
        ];
        assert_eq!(left, kept);
    }
}
