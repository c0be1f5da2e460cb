//! The clock of a call: what the caller asked for, cut to what the method's rule allows, to the last byte of the body.
use http::{Request, Response};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::middleware::{Middleware, Next};
use super::patient::Patient;
use super::unread;
use crate::body::{Guards, deadline_exceeded, guard};
use crate::channel::timeout_of;
use crate::{AccessTable, Kind, ServiceError};

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
            let error = ServiceError::new(Kind::Unimplemented, "NO_METHOD", "there is no such method");
            return Status::from(error).into_http();
        };
        let wish = timeout_of(request.headers());
        let limit = match (wish.or(access.default_deadline), access.max_deadline) {
            (Some(wish), Some(max)) => Some(wish.min(max)),
            (wish, max) => wish.or(max),
        };
        if limit.is_some_and(|limit| limit.is_zero()) {
            // A handler that is quick would still answer, and one that writes would have begun.
            return deadline_exceeded().into_http();
        }
        let deadline = limit.map(|limit| Instant::now() + limit);
        request.headers_mut().remove("grpc-timeout");
        let (is_stream, idle) = (access.server_streaming, access.idle_timeout);
        if access.client_streaming {
            let silence = idle.filter(|_| !is_stream);
            request = request.map(|body| Body::new(Patient::new(body, silence)));
        }
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
        let idle = idle.filter(|_| is_stream);
        let response =
            if is_stream { response.map(|body| unread::cut(body, deadline, idle)) } else { response };
        guard(response, Guards { deadline, idle, ..Guards::default() })
    }
}
