//! A small mesh for black-box tests: the real service between scripted peers.
#![allow(dead_code, reason = "every test file uses a part of it")]
pub mod peers;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use copydesk_agent_orchestrator::{Config, Peers, build};
use copydesk_proto::agent_orchestrator::v1 as pb;
use copydesk_proto::types::v1::ContentType;
use copydesk_rpc::{Channel, Service, testing};
use copydesk_store::DatabaseConfig;
use copydesk_types::{BrandId, Scopes, TenantId};
use pb::guard_service_client::GuardServiceClient;
use pb::run_service_client::RunServiceClient;
use pb::watch_run_response::Event;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub use peers::Script;

/// How the service is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    Process,
    Loopback,
}

pub const BOTH: [Over; 2] = [Over::Process, Over::Loopback];

/// Nothing in these tests takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running service.
pub struct Mesh {
    pub script: Arc<Script>,
    pub channel: Channel,
    pub client: RunServiceClient<Channel>,
    pub guard: GuardServiceClient<Channel>,
    pub tenant: TenantId,
    pub stop: CancellationToken,
    pub folder: Option<tempfile::TempDir>,
}

/// Quick waits; everything else as it comes.
pub fn config() -> Config {
    Config { poll_ms: 20, retry_base_ms: 1, retry_cap_ms: 5, stop_grace_ms: 0, ..Config::default() }
}

pub fn tenant() -> TenantId {
    TenantId::from_u128(1)
}

pub fn brand_id() -> String {
    BrandId::from_u128(7).to_string()
}

/// The service on a database, not yet started.
pub async fn service(script: &Arc<Script>, config: Config, database: &DatabaseConfig) -> Service {
    let peers = Peers {
        llm_router: testing::local(peers::llm_router(script)),
        retrieval: testing::local(peers::retrieval(script)),
        learning: testing::local(peers::learning(script)),
    };
    let context = testing::context(Path::new(""));
    build(config, database, context, peers).await.expect("the service builds")
}

/// The SQLite file in a folder.
pub fn file_in(folder: &Path) -> DatabaseConfig {
    DatabaseConfig::file(folder.join("runs.sqlite3"))
}

/// Starts the service on a database, in process.
pub async fn start_on(script: &Arc<Script>, config: Config, database: &DatabaseConfig) -> Mesh {
    let stop = CancellationToken::new();
    let stack = testing::stack_until(service(script, config, database).await, stop.clone());
    let channel = Channel::local("agent-orchestrator", stack, testing::metrics());
    let (client, guard) = (RunServiceClient::new(channel.clone()), GuardServiceClient::new(channel.clone()));
    Mesh { script: script.clone(), channel, client, guard, tenant: tenant(), stop, folder: None }
}

pub async fn start(over: Over, config: Config) -> Mesh {
    let (script, folder) = (Arc::new(Script::default()), tempfile::tempdir().expect("folder"));
    let service = service(&script, config, &file_in(folder.path())).await;
    let channel = match over {
        Over::Process => testing::local(service),
        Over::Loopback => testing::remote(service).await,
    };
    let (client, guard) = (RunServiceClient::new(channel.clone()), GuardServiceClient::new(channel.clone()));
    Mesh {
        script,
        channel,
        client,
        guard,
        tenant: tenant(),
        stop: CancellationToken::new(),
        folder: Some(folder),
    }
}

pub fn spec() -> pb::RunSpec {
    pb::RunSpec {
        brand_id: brand_id(),
        workflow: "content".into(),
        topic: "the kettle's new grinder".into(),
        content_type: ContentType::Social.into(),
        ..pb::RunSpec::default()
    }
}

impl Mesh {
    /// Runs `work` as a user of the mesh's tenant.
    pub async fn as_user<F: Future>(&self, work: F) -> F::Output {
        let work = testing::as_caller(self.tenant, Scopes::all(), work);
        tokio::time::timeout(PATIENCE, work).await.expect("in time")
    }

    pub async fn try_create(&self, request_id: &str, spec: Option<pb::RunSpec>) -> Result<pb::Run, Status> {
        let request = pb::CreateRunRequest { request_id: request_id.into(), spec };
        let answer = self.as_user(self.client.clone().create_run(request)).await?;
        Ok(answer.into_inner().run.expect("a run"))
    }

    pub async fn create(&self, spec: pb::RunSpec) -> pb::Run {
        self.try_create("request-1", Some(spec)).await.expect("created")
    }

    pub async fn get(&self, run_id: &str) -> pb::Run {
        let request = pb::GetRunRequest { run_id: run_id.into() };
        self.as_user(self.client.clone().get_run(request))
            .await
            .expect("got")
            .into_inner()
            .run
            .expect("a run")
    }

    pub async fn cancel(&self, run_id: &str) -> pb::Run {
        let request = pb::CancelRunRequest { run_id: run_id.into() };
        self.as_user(self.client.clone().cancel_run(request))
            .await
            .expect("cancelled")
            .into_inner()
            .run
            .expect("a run")
    }

    pub async fn watch(
        &self,
        run_id: &str,
        after_seq: u64,
        deltas: bool,
    ) -> tonic::Streaming<pb::WatchRunResponse> {
        let request = pb::WatchRunRequest { run_id: run_id.into(), after_seq, with_deltas: deltas };
        self.as_user(self.client.clone().watch_run(request)).await.expect("watched").into_inner()
    }

    /// Every event of a run to its end.
    pub async fn events(&self, run_id: &str) -> Vec<pb::WatchRunResponse> {
        let mut stream = self.watch(run_id, 0, false).await;
        let mut events = Vec::new();
        while let Some(event) = self.as_user(stream.message()).await.expect("an event") {
            events.push(event);
        }
        events
    }

    /// Waits until the run has ended.
    pub async fn finish(&self, run_id: &str) -> pb::Run {
        self.events(run_id).await;
        self.get(run_id).await
    }

    /// Creates a run and waits until it has ended.
    pub async fn run(&self, spec: pb::RunSpec) -> pb::Run {
        let run = self.create(spec).await;
        self.finish(&run.run_id).await
    }

    /// Waits until a step has been given back.
    pub async fn wait_ready(&self, run_id: &str, key: &str) {
        let given_back = async {
            while step(&self.get(run_id).await, key).state() != pb::StepState::Ready {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, given_back).await.expect("in time");
    }

    /// Waits until an event is there.
    pub async fn wait_for(&self, run_id: &str, mut is_it: impl FnMut(&Event) -> bool) {
        let mut stream = self.watch(run_id, 0, false).await;
        while let Some(event) = self.as_user(stream.message()).await.expect("an event") {
            if event.event.as_ref().is_some_and(&mut is_it) {
                return;
            }
        }
        panic!("the run ended without it");
    }
}

/// The keys of the steps, in order.
pub fn keys(run: &pb::Run) -> Vec<&str> {
    run.steps.iter().map(|s| s.key.as_str()).collect()
}

pub fn step<'a>(run: &'a pb::Run, key: &str) -> &'a pb::Step {
    run.steps.iter().find(|s| s.key == key).unwrap_or_else(|| panic!("no step {key}"))
}

pub fn reason(run: &pb::Run) -> &str {
    run.error.as_ref().map_or("", |e| e.reason.as_str())
}

/// The fields that an INVALID_ARGUMENT names.
pub fn violated(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let fields = details.bad_request().map(|b| b.field_violations.iter().map(|f| f.field.clone()).collect());
    fields.unwrap_or_default()
}

pub fn reason_of(status: &Status) -> String {
    status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default()
}
