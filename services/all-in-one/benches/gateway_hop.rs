//! What the gateway's hop costs, against calling the service directly, in the same run as a bare tonic server.
//!
//! `cargo bench -p copydesk-all-in-one --bench gateway_hop`
//!
//! One process holds three servers on loopback ports and their callers:
//! - `floor`: `RoutingService.ListModels` served by tonic as it is, with a fixed answer of the same bytes; no layer, no
//!   identity. What this machine's loopback and tonic cost alone.
//! - `direct`: the llm-router as `copydesk serve llm-router` starts it, called with a minted identity token.
//! - `gateway`: the same llm-router, called with an API key through the gateway as `copydesk serve gateway` starts it.
//!
//! How to read it:
//! - `gateway - direct` is the hop: one more trip over loopback, the key's check, its quota, its token, forwarding. Each is
//!   the median over rounds of the difference within a round, so that a machine that gets slower in between does not count.
//! - `x floor` is the hop's p50 in units of the floor's p50 of the same round. It is the figure to compare between
//!   machines and commits; microseconds are not.
//! - `c=32` is a closed loop of 32 callers on one connection: waiting for a core is in its latencies, and all servers
//!   share the cores with their callers. A p99 of a busy machine says more about the machine.
//!
//! Rounds are short and the three take turns, so that other load on the machine falls on all of them.
#![allow(clippy::print_stdout, reason = "the figures are its purpose")]

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use copydesk_all_in_one::config::Config;
use copydesk_all_in_one::identity;
use copydesk_all_in_one::mesh::{Mesh, Topology};
use copydesk_proto::llm_router::v1::routing_service_client::RoutingServiceClient;
use copydesk_proto::llm_router::v1::routing_service_server::{RoutingService, RoutingServiceServer};
use copydesk_proto::llm_router::v1::{ListModelsRequest, ListModelsResponse};
use copydesk_rpc::Caller;
use copydesk_runtime::telemetry;
use copydesk_types::{Scopes, TenantId};
use hdrhistogram::Histogram;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(700);
const WARM_UP: Duration = Duration::from_secs(1);
const CONCURRENCY: [usize; 2] = [1, 32];
/// Nanoseconds: from one microsecond to ten seconds, three digits.
const BOUNDS: (u64, u64, u8) = (1_000, 10_000_000_000, 3);

fn main() -> anyhow::Result<()> {
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".to_owned();
    config.server.admin = "127.0.0.1:0".to_owned();
    // The limit is charged as always, but must not be what is measured.
    config.gateway.rate_limits.read = u32::MAX;
    let telemetry = telemetry::start(&config.telemetry, "gateway-hop")?;
    let router = Topology::One(copydesk_llm_router::NAME);
    let router = Mesh::start(&config, folder.path(), router, &telemetry, None).await?;
    config.peers.llm_router = format!("http://{}", router.address);
    let gateway = Topology::One(copydesk_gateway::NAME);
    let gateway = Mesh::start(&config, folder.path(), gateway, &telemetry, None).await?;

    let token = mint(&folder.path().join("identity"))?;
    let direct = Target::connect("direct", &router.address.to_string(), Some(&token)).await?;
    let answer = direct.call().await.context("the service does not answer")?;
    let key = gateway.dev_key.as_ref().context("the gateway made no key")?;
    let key = std::fs::read_to_string(key)?;
    let through = Target::connect("gateway", &gateway.address.to_string(), Some(key.trim())).await?;
    if through.call().await.context("the gateway does not answer")? != answer {
        bail!("the gateway's answer is not the service's");
    }
    let floor = Target::connect("floor", &serve_floor(answer.clone()).await?, None).await?;

    println!(
        "ListModels, unary, answer of {} bytes; {ROUNDS} rounds of {ROUND:?} each",
        answer.encoded_len()
    );
    for concurrency in CONCURRENCY {
        measure([&floor, &direct, &through], concurrency).await?.print(concurrency);
    }
    gateway.stop().await;
    router.stop().await;
    Ok(())
}

/// A token as `copydesk token mint` makes it.
fn mint(identity: &std::path::Path) -> anyhow::Result<String> {
    let minter = identity::minter(identity, copydesk_gateway::NAME)?;
    let (tenant, principal) = (TenantId::generate(), "bench".to_owned());
    let caller = Caller { tenant, principal, scopes: Scopes::all(), actor: None, run: None };
    Ok(minter.user_token(&caller, Duration::from_secs(3_600))?)
}

/// Answers the same to everybody.
struct Floor(ListModelsResponse);

#[tonic::async_trait]
impl RoutingService for Floor {
    async fn list_models(
        &self,
        _: Request<ListModelsRequest>,
    ) -> Result<Response<ListModelsResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn explain_route(
        &self,
        _: Request<copydesk_proto::llm_router::v1::ExplainRouteRequest>,
    ) -> Result<Response<copydesk_proto::llm_router::v1::ExplainRouteResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn list_providers(
        &self,
        _: Request<copydesk_proto::llm_router::v1::ListProvidersRequest>,
    ) -> Result<Response<copydesk_proto::llm_router::v1::ListProvidersResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

async fn serve_floor(answer: ListModelsResponse) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().add_service(RoutingServiceServer::new(Floor(answer)));
    tokio::spawn(server.serve_with_incoming(incoming));
    Ok(address)
}

/// Somewhere to call.
#[derive(Clone)]
struct Target {
    name: &'static str,
    client: RoutingServiceClient<Channel>,
    authorization: Option<MetadataValue<Ascii>>,
}

impl Target {
    async fn connect(name: &'static str, address: &str, credential: Option<&str>) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
        let client = RoutingServiceClient::new(endpoint.connect().await?);
        let authorization = credential.map(|text| format!("Bearer {text}").parse()).transpose()?;
        Ok(Self { name, client, authorization })
    }

    async fn call(&self) -> Result<ListModelsResponse, Status> {
        let mut request = Request::new(ListModelsRequest::default());
        if let Some(value) = &self.authorization {
            request.metadata_mut().insert("authorization", value.clone());
        }
        self.client.clone().list_models(request).await.map(Response::into_inner)
    }

    /// Calls from this many callers, each with its next call when the last one is answered. One failure ends it all.
    async fn load(&self, callers: usize, length: Duration) -> anyhow::Result<Histogram<u64>> {
        let end = Instant::now() + length;
        let mut running = JoinSet::new();
        for _ in 0..callers {
            let target = self.clone();
            running.spawn(async move { target.repeat(end).await });
        }
        let mut all = histogram()?;
        while let Some(one) = running.join_next().await {
            all.add(one??)?;
        }
        Ok(all)
    }

    async fn repeat(self, end: Instant) -> anyhow::Result<Histogram<u64>> {
        let mut times = histogram()?;
        loop {
            let began = Instant::now();
            if began >= end {
                return Ok(times);
            }
            self.call().await.with_context(|| format!("a call to {} failed", self.name))?;
            times.saturating_record(u64::try_from(began.elapsed().as_nanos())?);
        }
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    let (low, high, digits) = BOUNDS;
    Ok(Histogram::new_with_bounds(low, high, digits)?)
}

/// What was seen at one concurrency: floor, direct, gateway.
struct Seen {
    names: [&'static str; 3],
    all: [Histogram<u64>; 3],
    rounds: Vec<[Quantiles; 3]>,
}

/// Microseconds of one target in one round.
#[derive(Clone, Copy)]
struct Quantiles {
    p50: f64,
    p99: f64,
}

impl Quantiles {
    fn of(times: &Histogram<u64>) -> Self {
        let micros = |quantile| times.value_at_quantile(quantile) as f64 / 1_000.0;
        Self { p50: micros(0.5), p99: micros(0.99) }
    }
}

async fn measure(targets: [&Target; 3], concurrency: usize) -> anyhow::Result<Seen> {
    for target in targets {
        target.load(concurrency, WARM_UP).await?;
    }
    let names = targets.map(|target| target.name);
    let mut seen = Seen { names, all: [histogram()?, histogram()?, histogram()?], rounds: Vec::new() };
    for round in 0..ROUNDS {
        let mut quantiles = [Quantiles { p50: 0.0, p99: 0.0 }; 3];
        // Each is first, second and last equally often: who follows whom must not matter.
        for turn in 0..targets.len() {
            let at = (round + turn) % targets.len();
            let times = targets[at].load(concurrency, ROUND).await?;
            quantiles[at] = Quantiles::of(&times);
            seen.all[at].add(times)?;
        }
        seen.rounds.push(quantiles);
    }
    Ok(seen)
}

impl Seen {
    fn print(&self, concurrency: usize) {
        println!("\nc={concurrency:<18} {:>9} {:>9} {:>10} {:>10}", "calls", "calls/s", "p50 µs", "p99 µs");
        let seconds = ROUND.as_secs_f64() * ROUNDS as f64;
        for (name, times) in self.names.iter().zip(&self.all) {
            let Quantiles { p50, p99 } = Quantiles::of(times);
            let (calls, rate) = (times.len(), times.len() as f64 / seconds);
            println!("  {name:<18} {calls:>9} {rate:>9.0} {p50:>10.1} {p99:>10.1}");
        }
        let hop = |quantile: fn(&Quantiles) -> f64| {
            median(
                self.rounds.iter().map(|[_, direct, gateway]| quantile(gateway) - quantile(direct)).collect(),
            )
        };
        println!("  {:<38} {:>10.1} {:>10.1}", "gateway - direct", hop(|q| q.p50), hop(|q| q.p99));
        let ratio = |of: fn(&[Quantiles; 3]) -> f64| {
            median(self.rounds.iter().map(|round| of(round) / round[0].p50).collect())
        };
        println!("  {:<38} {:>9.2}x", "gateway - direct, x floor's p50", ratio(|[_, b, c]| c.p50 - b.p50));
        println!("  {:<38} {:>9.2}x", "direct, x floor's p50", ratio(|[_, b, _]| b.p50));
        println!("  {:<38} {:>9.2}x", "gateway, x floor's p50", ratio(|[_, _, c]| c.p50));
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
