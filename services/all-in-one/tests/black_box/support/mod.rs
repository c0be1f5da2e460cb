//! What the whole-mesh tests share: a mesh in this process, and the few jobs that every story is made of.
#![allow(dead_code, reason = "every test file uses a part of it")]
pub mod commands;
pub mod contracts;
pub mod walk;
pub mod wire;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use copydesk_all_in_one::config::Config;
use copydesk_all_in_one::documents::{SourceDocument, samples};
use copydesk_all_in_one::mesh::{Mesh, Topology};
use copydesk_proto::agent_orchestrator::v1 as runs;
use copydesk_proto::learning::v1 as learning;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as retrieval;
use copydesk_proto::types::v1::ContentType;
use copydesk_runtime::{Telemetry, telemetry};
use copydesk_testkit::client::Client;
use retrieval::ingest_request::Part;
use runs::watch_run_response::Event;
use tempfile::TempDir;

/// Nothing in these tests takes longer, unless it hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// The real program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_copydesk");
/// A topic that the bundled documents say much about.
pub const TOPIC: &str = "temperature alerts that drivers do not ignore";

const KEEP_SPANS: usize = 50_000;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The telemetry of the test process: there can be one only. No log; the latest spans are kept.
pub fn telemetry() -> &'static Telemetry {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let config = settings(Path::new("/nowhere"), &[("telemetry.log_format", "off")]).telemetry;
        telemetry::start(&config, "copydesk-test").expect("telemetry")
    })
}

fn settings(data: &Path, more: &[(&str, &str)]) -> Config {
    let spans = KEEP_SPANS.to_string();
    let ours = [
        ("server.listen", "127.0.0.1:0"),
        ("server.admin", "127.0.0.1:0"),
        ("server.drain_seconds", "1"),
        ("llm_router.discovery", "false"),
        // The limit of generating calls has its own test.
        ("gateway.rate_limits.generate", "1000"),
        ("telemetry.keep_spans", &spans),
    ];
    let flags = ours.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    Config::load(None, data, flags.collect()).expect("settings")
}

/// A mesh in this process with a data folder of its own.
pub struct House {
    pub mesh: Mesh,
    pub client: Client,
    pub folder: TempDir,
}

impl House {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let config = settings(folder.path(), more);
        let mesh = Mesh::start(&config, folder.path(), Topology::All, telemetry(), None)
            .await
            .expect("the mesh starts");
        let key = std::fs::read_to_string(mesh.dev_key.as_ref().expect("a key")).expect("the key");
        let client = Client::new(&mesh.address.to_string(), Some(&key)).expect("client");
        Self { mesh, client, folder }
    }
}

/// A request id that no other call of this process has.
pub fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The bundled documents whose path begins with one of these.
pub fn documents(places: &[&str]) -> Vec<SourceDocument> {
    samples()
        .into_iter()
        .filter(|document| places.iter().any(|place| document.key.starts_with(place)))
        .collect()
}

pub fn document(key: &str, text: &str) -> SourceDocument {
    SourceDocument { key: key.to_owned(), bytes: text.as_bytes().to_vec() }
}

/// An upload's messages.
pub fn upload(base: &str, request_id: &str, documents: Vec<SourceDocument>) -> Vec<retrieval::IngestRequest> {
    let start =
        retrieval::IngestStart { request_id: request_id.to_owned(), knowledge_base_id: base.to_owned() };
    let parts = documents.into_iter().flat_map(|document| {
        let pieces: Vec<_> =
            document.bytes.chunks(512 << 10).map(|p| Part::Content(p.to_vec().into())).collect();
        std::iter::once(Part::Document(document.start())).chain(pieces)
    });
    std::iter::once(Part::Start(start))
        .chain(parts)
        .map(|part| retrieval::IngestRequest { part: Some(part) })
        .collect()
}

pub async fn knowledge_base(client: &Client, name: &str) -> String {
    let request = retrieval::CreateKnowledgeBaseRequest {
        request_id: request_id(),
        name: name.to_owned(),
        ..Default::default()
    };
    let made =
        client.knowledge().create_knowledge_base(request).await.expect("a knowledge base").into_inner();
    made.knowledge_base.expect("a knowledge base").knowledge_base_id
}

/// Stores documents and waits until they can be searched.
pub async fn ingest(client: &Client, base: &str, documents: Vec<SourceDocument>) -> retrieval::Ingestion {
    let stream = tokio_stream::iter(upload(base, &request_id(), documents));
    let stored = client.ingestion().ingest(stream).await.expect("stored").into_inner();
    ingested(client, &stored.ingestion.expect("an ingestion").ingestion_id).await
}

/// Follows an ingestion to its end.
pub async fn ingested(client: &Client, ingestion_id: &str) -> retrieval::Ingestion {
    let request = retrieval::WatchIngestionRequest { ingestion_id: ingestion_id.to_owned() };
    let mut watch = client.ingestion().watch_ingestion(request).await.expect("a watch").into_inner();
    let mut last = None;
    while let Some(change) = within(watch.message()).await.expect("a change") {
        last = change.ingestion;
    }
    let last = last.expect("a last state");
    assert_eq!(last.state(), retrieval::IngestionState::Succeeded, "{:?}", last.failures);
    last
}

pub async fn brand(client: &Client, name: &str, bases: Vec<String>) -> learning::Brand {
    let brand = learning::Brand {
        name: name.to_owned(),
        voice: "plain, dry, concrete".to_owned(),
        audience: "people who run small fleets of refrigerated vans".to_owned(),
        knowledge_base_ids: bases,
        ..learning::Brand::default()
    };
    let request = learning::CreateBrandRequest { request_id: request_id(), brand: Some(brand) };
    client.brands().create_brand(request).await.expect("a brand").into_inner().brand.expect("a brand")
}

/// A brand with these documents.
pub async fn stocked_brand(client: &Client, name: &str, documents: Vec<SourceDocument>) -> learning::Brand {
    let base = knowledge_base(client, name).await;
    ingest(client, &base, documents).await;
    brand(client, name, vec![base]).await
}

pub fn post(brand_id: &str) -> runs::RunSpec {
    runs::RunSpec {
        brand_id: brand_id.to_owned(),
        workflow: "content".to_owned(),
        topic: TOPIC.to_owned(),
        content_type: ContentType::Social.into(),
        ..runs::RunSpec::default()
    }
}

pub async fn create_run(client: &Client, spec: runs::RunSpec) -> runs::Run {
    let request = runs::CreateRunRequest { request_id: request_id(), spec: Some(spec) };
    client.runs().create_run(request).await.expect("a run").into_inner().run.expect("a run")
}

pub async fn get_run(client: &Client, run_id: &str) -> runs::Run {
    let request = runs::GetRunRequest { run_id: run_id.to_owned() };
    client.runs().get_run(request).await.expect("a run").into_inner().run.expect("a run")
}

/// A run from its order to its result.
pub async fn write(client: &Client, spec: runs::RunSpec) -> runs::Run {
    let run = create_run(client, spec).await;
    finished(client, &run.run_id).await
}

/// Follows a run to its end, which must be a text.
pub async fn finished(client: &Client, run_id: &str) -> runs::Run {
    events(client, run_id, 0).await;
    let run = get_run(client, run_id).await;
    assert_eq!(run.state(), runs::RunState::Succeeded, "{:?}", run.error);
    run
}

pub async fn watch(
    client: &Client,
    run_id: &str,
    after_seq: u64,
) -> tonic::Streaming<runs::WatchRunResponse> {
    let request = runs::WatchRunRequest { run_id: run_id.to_owned(), after_seq, with_deltas: false };
    client.runs().watch_run(request).await.expect("a watch").into_inner()
}

/// The stored events of a run after a number, to its end.
pub async fn events(client: &Client, run_id: &str, after_seq: u64) -> Vec<runs::WatchRunResponse> {
    let mut watch = watch(client, run_id, after_seq).await;
    let mut all = Vec::new();
    while let Some(event) = within(watch.message()).await.expect("an event") {
        if is_stored(&event) {
            all.push(event);
        }
    }
    all
}

/// Whether an event has a number of its own.
pub fn is_stored(event: &runs::WatchRunResponse) -> bool {
    !matches!(event.event, Some(Event::DraftDelta(_) | Event::Heartbeat(_)) | None)
}

/// The ledger's records of a run.
pub async fn ledger(client: &Client, run_id: &str) -> (Vec<llm::UsageRecord>, i64) {
    let request = llm::ListUsageRequest { page_size: 500, run_id: run_id.to_owned(), ..Default::default() };
    let page = client.usage().list_usage(request).await.expect("the ledger").into_inner();
    assert_eq!(page.next_page_token, "", "one page holds a run");
    (page.records, page.total_cost_nanos)
}

/// Waits until the learning service knows how a run ended.
pub async fn outcome(client: &Client, run_id: &str) -> learning::Outcome {
    let request = learning::GetOutcomeRequest { run_id: run_id.to_owned() };
    until("the outcome", async || match client.outcomes().get_outcome(request.clone()).await {
        Ok(found) => Some(found.into_inner().outcome.expect("an outcome")),
        Err(status) => {
            assert_eq!(status.code(), tonic::Code::NotFound, "{status}");
            None
        }
    })
    .await
}

/// Looks again and again until there is something to see.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Nothing may hang.
pub async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}

/// The folder of the bundled documents.
pub fn samples_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}
