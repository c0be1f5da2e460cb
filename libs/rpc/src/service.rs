//! What a service crate hands over: routes, background work and a readiness check. It binds and spawns nothing itself.
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use opentelemetry::metrics::Meter;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::Minter;

/// What every service needs from the process.
#[derive(Clone)]
pub struct ServiceContext {
    /// The service's own folder; it exists.
    pub data_dir: PathBuf,
    /// Makes identity for calls that the service makes on its own.
    pub minter: Minter,
    /// Where the service's instruments are made.
    pub meter: Meter,
}

/// Answers whether the service can work now; the error says what is missing, for a person to read.
pub type ReadyCheck = Arc<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// A background task: runs until it ends by itself or its token is cancelled, and then soon ends.
pub struct Task {
    /// Its name, for logs.
    pub name: &'static str,
    /// Starts it.
    pub run: Box<dyn FnOnce(CancellationToken) -> BoxFuture<'static, ()> + Send>,
}

/// A built service.
pub struct Service {
    /// Its name, the same as its crate folder.
    pub name: &'static str,
    /// Its handlers, without any layer.
    pub routes: Routes,
    /// The full names of the gRPC services in `routes`.
    pub grpc_services: Vec<&'static str>,
    /// The encoded `FileDescriptorSet` that its rules and its reflection come from.
    pub descriptors: &'static [u8],
    /// Its background work.
    pub tasks: Vec<Task>,
    /// Its readiness check; none means that it is ready when it is built.
    pub ready: Option<ReadyCheck>,
}

impl Service {
    /// A service without background work.
    pub fn new(
        name: &'static str,
        routes: Routes,
        grpc_services: Vec<&'static str>,
        descriptors: &'static [u8],
    ) -> Self {
        Self { name, routes, grpc_services, descriptors, tasks: Vec::new(), ready: None }
    }

    /// Adds a background task.
    pub fn with_task<F, Fut>(mut self, name: &'static str, run: F) -> Self
    where
        F: FnOnce(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.tasks.push(Task { name, run: Box::new(|token| Box::pin(run(token))) });
        self
    }

    /// Sets the readiness check.
    pub fn with_ready<F>(mut self, check: F) -> Self
    where
        F: Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync + 'static,
    {
        self.ready = Some(Arc::new(check));
        self
    }
}
