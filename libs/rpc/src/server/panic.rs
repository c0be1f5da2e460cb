//! A panic in a handler is an INTERNAL answer, not a broken connection (or, in one process, a broken caller).
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use http::{Request, Response};
use tonic::body::Body;

use super::middleware::{Middleware, Next};
use crate::body::panicked;

#[derive(Clone)]
pub(super) struct CatchPanic;

impl Middleware for CatchPanic {
    async fn handle(self, request: Request<Body>, next: impl Next) -> Response<Body> {
        match AssertUnwindSafe(next.run(request)).catch_unwind().await {
            // Panics of the body are caught by the guards of the layers below.
            Ok(response) => response,
            Err(_) => panicked().into_http(),
        }
    }
}
