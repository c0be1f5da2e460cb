//! A layer as one async function from a request and the rest of the stack to a response.
use std::convert::Infallible;
use std::future::Future;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt};

/// The rest of the stack.
pub(super) trait Next: Send + 'static {
    fn run(self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;
}

impl<S> Next for S
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Send + 'static,
    S::Future: Send,
{
    async fn run(self, request: Request<Body>) -> Response<Body> {
        match self.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// One layer's work.
pub(super) trait Middleware: Clone + Send + Sync + 'static {
    fn handle(self, request: Request<Body>, next: impl Next) -> impl Future<Output = Response<Body>> + Send;
}

pub(super) fn layer<M: Middleware>(middleware: M) -> MiddlewareLayer<M> {
    MiddlewareLayer(middleware)
}

#[derive(Clone)]
pub(super) struct MiddlewareLayer<M>(M);

impl<M: Clone, S> Layer<S> for MiddlewareLayer<M> {
    type Service = With<M, S>;
    fn layer(&self, inner: S) -> With<M, S> {
        With { middleware: self.0.clone(), inner }
    }
}

#[derive(Clone)]
pub(super) struct With<M, S> {
    middleware: M,
    inner: S,
}

impl<M, S> Service<Request<Body>> for With<M, S>
where
    M: Middleware,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Readiness is asked for in `run`: no layer of ours queues.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (middleware, inner) = (self.middleware.clone(), self.inner.clone());
        Box::pin(async move { Ok(middleware.handle(request, inner).await) })
    }
}
