//! The clock of a call: what the caller asked for, cut to what the method's rule allows, to the last byte of the body.
use http::{Request, Response};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::middleware::{Middleware, Next};
use crate::body::{Guards, deadline_exceeded, guard};
use crate::channel::timeout_of;
use crate::{AccessTable, MethodAccess};

#[derive(Clone)]
pub(super) struct Deadline {
    pub(super) access: AccessTable,
}

/// When the call must have ended; absent for a watch without a wish.
#[derive(Clone, Copy)]
pub(super) struct EndsAt(pub(super) Option<Instant>);

impl Middleware for Deadline {
    async fn handle(self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        let path = request.uri().path();
        let Some(access) = self.access.get(path).cloned() else {
            if super::is_open(path) {
                return next.run(request).await;
            }
            return Status::unimplemented("there is no such method").into_http();
        };
        let wish = timeout_of(request.headers());
        let limit = match (wish.or(access.default_deadline), access.max_deadline) {
            (Some(wish), Some(max)) => Some(wish.min(max)),
            (wish, max) => wish.or(max),
        };
        let deadline = limit.map(|limit| Instant::now() + limit);
        request.headers_mut().remove("grpc-timeout");
        let idle = streaming_idle(&access);
        request.extensions_mut().insert(access);
        request.extensions_mut().insert(EndsAt(deadline));
        let call = next.run(request);
        let response = match deadline {
            Some(at) => match tokio::time::timeout_at(at, call).await {
                Ok(response) => response,
                Err(_) => return deadline_exceeded().into_http(),
            },
            None => call.await,
        };
        guard(response, Guards { deadline, idle, ..Guards::default() })
    }
}

fn streaming_idle(access: &MethodAccess) -> Option<std::time::Duration> {
    access.idle_timeout.filter(|_| access.server_streaming)
}
