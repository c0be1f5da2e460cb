//! A double of a Qdrant server: the official generated services over a small engine in memory, on a real socket.
//!
//! We wrote it from the server's documentation. It is not the server: it shows that our calls are well formed and that we
//! bear what a network does, not that the server does what we think it does.

mod engine;
mod faults;
mod services;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use qdrant_client::qdrant::collections_server::CollectionsServer;
use qdrant_client::qdrant::points_server::PointsServer;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server as GrpcServer;
use tonic::{Request, Status};

pub use engine::Engine;
use faults::Shared;
pub use faults::{Act, Rule};
use services::Server;

/// The key that it wants.
pub const API_KEY: &str = "s3cret-of-the-double";

/// A running double. Its data stay when its connections break.
pub struct Double {
    pub shared: Arc<Shared>,
    address: SocketAddr,
}

impl Double {
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let (cut, cuts) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        *shared.cut.lock().unwrap() = Some(cut);
        let own = Arc::downgrade(&shared);
        std::thread::spawn(move || {
            let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            while let Some(shared) = own.upgrade() {
                let runtime = runtime();
                address = serve(&runtime, address, shared);
                let _ = tell.send(address);
                // Ends when the double is dropped, and with it the sender.
                let goes_on = cuts.recv().is_ok();
                runtime.shutdown_timeout(Duration::from_secs(5));
                if !goes_on {
                    break;
                }
            }
        });
        let address = told.recv_timeout(Duration::from_secs(10)).unwrap();
        Self { shared, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn on(&self, method: &'static str, skip: usize, times: usize, act: Act) {
        self.shared.add(Rule { method, skip, times, act });
    }

    pub fn calm(&self) {
        self.shared.calm();
    }

    pub fn engine<T>(&self, look: impl FnOnce(&mut Engine) -> T) -> T {
        look(&mut self.shared.engine.lock().unwrap())
    }

    /// How many points there are, marks left out.
    pub fn chunks(&self) -> usize {
        self.engine(|engine| {
            let points = engine.collections.values().flat_map(|collection| collection.points.values());
            points.filter(|point| !point.payload.contains_key("role")).count()
        })
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.shared.cut.lock().unwrap().take();
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn serve(runtime: &Runtime, address: SocketAddr, shared: Arc<Shared>) -> SocketAddr {
    let listener = runtime.block_on(async {
        // The port is ours; the old socket may need a moment to go.
        for _ in 0..200 {
            if let Ok(listener) = TcpListener::bind(address).await {
                return listener;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        TcpListener::bind(address).await.unwrap()
    });
    let address = listener.local_addr().unwrap();
    let server = Server(shared);
    let serving = GrpcServer::builder()
        .add_service(PointsServer::with_interceptor(server.clone(), key))
        .add_service(CollectionsServer::with_interceptor(server, key))
        .serve_with_incoming(TcpListenerStream::new(listener));
    runtime.spawn(serving);
    address
}

fn key(request: Request<()>) -> Result<Request<()>, Status> {
    let key = request.metadata().get("api-key").and_then(|key| key.to_str().ok());
    if key == Some(API_KEY) { Ok(request) } else { Err(Status::unauthenticated("Invalid API key or JWT")) }
}
