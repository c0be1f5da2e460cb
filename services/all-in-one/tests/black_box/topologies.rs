//! Five processes against one: the same documents and requests give the same answers. And a process that is gone is
//! missed politely: callers are told when to try again, runs wait.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::*;
use copydesk_proto::agent_orchestrator::v1 as runs;
use copydesk_proto::learning::v1 as learning;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as retrieval;
use copydesk_proto::types::v1::{Citation, ContentType};
use copydesk_testkit::client::Client;
use copydesk_testkit::program::{self, Program};
use llm::llm_service_client::LlmServiceClient;
use runs::watch_run_response::Event;
use serde_json::{Value, json};
use tempfile::TempDir;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// By rank, the callee before its callers.
const SERVICES: [&str; 5] = ["llm-router", "retrieval", "learning", "agent-orchestrator", "gateway"];

/// The five services, each a process with a data folder of its own.
struct Apart {
    folder: TempDir,
    services: BTreeMap<&'static str, Program>,
    places: BTreeMap<&'static str, String>,
}

impl Apart {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let identity = folder.path().join("identity");
        let made = program::run(PROGRAM, &["identity", "init", "--dir", identity.to_str().expect("UTF-8")]);
        assert_eq!(made.expect("it ends").code, Some(0));
        let mut apart = Self { folder, services: BTreeMap::new(), places: BTreeMap::new() };
        for service in SERVICES {
            apart.serve(service).await;
        }
        apart
    }

    fn data(&self, service: &str) -> PathBuf {
        self.folder.path().join(service)
    }

    /// Starts a service; again where it was, when it was there before.
    async fn serve(&mut self, service: &'static str) {
        let mut settings = vec![
            format!("identity.dir={}", self.folder.path().join("identity").display()),
            "gateway.rate_limits.generate=1000".to_owned(),
        ];
        settings.extend(
            self.places.iter().map(|(peer, at)| format!("peers.{}=http://{at}", peer.replace('-', "_"))),
        );
        let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting.as_str()]).collect();
        let listen = self.places.get(service).cloned().unwrap_or_else(|| "127.0.0.1:0".to_owned());
        let started = Program::serve(PROGRAM, service, &self.data(service), &listen, &settings).await;
        let started = started.expect("the service starts");
        if service != "gateway" {
            self.places.insert(service, started.address.clone());
        }
        self.services.insert(service, started);
    }

    fn kill(&mut self, service: &str) {
        self.services.remove(service).expect("it runs").kill9().expect("killed");
    }

    fn client(&self) -> Client {
        self.services["gateway"].client().expect("a client")
    }
}

/// Everything that a user can learn from the same story, without ids and times.
async fn story(client: &Client) -> Value {
    let base = knowledge_base(client, "Chillwright").await;
    let ingestion = ingest(client, &base, documents(&[""])).await;
    let brand = brand(client, "Chillwright", vec![base.clone()]).await;
    let mut told = vec![json!({ "documents": ingestion.documents_done, "chunks": ingestion.chunks_written })];
    for query in
        ["temperature alerts", "how much does the van box cost", "Who tested graded alerts in 2025?", "zebra"]
    {
        told.push(search(client, &base, query).await);
    }
    let request = learning::GetBrandMetricsRequest { brand_id: brand.brand_id.clone(), content_type: 0 };
    let metrics = client.brands().get_brand_metrics(request).await.expect("metrics").into_inner().metrics;
    told.push(json!(format!("{metrics:?}")));
    let mut first = None;
    for content_type in [ContentType::Social, ContentType::Blog, ContentType::Ad] {
        let spec = runs::RunSpec { content_type: content_type.into(), ..post(&brand.brand_id) };
        let run = write(client, spec).await;
        told.push(written(client, &run).await);
        first.get_or_insert(run.run_id);
    }
    let run_id = first.expect("a run");
    outcome(client, &run_id).await;
    let verdict = learning::RecordFeedbackRequest {
        request_id: request_id(),
        run_id,
        kind: learning::FeedbackKind::Regenerate.into(),
        comment: "Too long: at most 60 words. Open with a question.".to_owned(),
        ..Default::default()
    };
    client.feedback().record_feedback(verdict).await.expect("feedback");
    told.push(written(client, &write(client, post(&brand.brand_id)).await).await);
    Value::Array(told)
}

async fn search(client: &Client, base: &str, query: &str) -> Value {
    let request = retrieval::SearchRequest {
        knowledge_base_ids: vec![base.to_owned()],
        query: query.to_owned(),
        top_k: 10,
        ..Default::default()
    };
    let found = client.search().search(request).await.expect("an answer").into_inner();
    let hits = found.hits.iter().map(|hit| {
        let passage = hit.passage.as_ref().expect("a passage");
        json!({
            "title": passage.title, "kind": passage.source_kind, "text": passage.text, "score": passage.score,
            "span": passage.span.map(|span| (span.start, span.end)),
            "matched": hit.matched.map(|span| (span.start, span.end)),
            "rank": hit.lexical_rank, "lexical": hit.lexical_score,
        })
    });
    json!({ "query": query, "mode": found.mode, "degraded": found.degraded, "hits": hits.collect::<Vec<_>>() })
}

async fn written(client: &Client, run: &runs::Run) -> Value {
    let result = run.result.clone().expect("a result");
    let safety = result.safety.clone().expect("a report");
    let sentences = result.sentences.iter().map(|sentence| {
        json!({
            "span": sentence.span.map(|span| (span.start, span.end)), "verdict": sentence.verdict,
            "risk": sentence.risk, "reasons": sentence.reasons,
            "citations": sentence.citations.iter().map(cited).collect::<Vec<_>>(),
        })
    });
    let mut calls: Vec<Value> = ledger(client, &run.run_id).await.0.iter().map(call).collect();
    calls.sort_by_key(Value::to_string);
    json!({
        "text": result.text, "title": result.title, "hook": result.hook, "hashtags": result.hashtags,
        "caption": result.caption, "score": result.score, "models": result.models,
        "search_mode": result.search_mode, "degraded": result.degraded_reason,
        "sentences": sentences.collect::<Vec<_>>(),
        "revisions": result.revisions.iter().map(|r| json!([r.step, r.text, r.score, r.notes])).collect::<Vec<_>>(),
        "lessons": result.lessons.iter().map(|lesson| lesson.text.clone()).collect::<Vec<_>>(),
        "safety": [safety.supported, safety.checked, safety.sentences, safety.corrections.len() as u32],
        "confidence": safety.confidence,
        "steps": run.steps.iter().map(|s| json!([s.key, s.agent, s.attempts, s.summary])).collect::<Vec<_>>(),
        "calls": calls, "events": run.last_seq, "cost": run.cost_nanos, "definition": run.definition_version,
    })
}

fn cited(citation: &Citation) -> Value {
    let span = citation.span.map(|span| (span.start, span.end));
    json!([citation.title, citation.source_kind, citation.document_version, span, citation.quote])
}

fn call(record: &llm::UsageRecord) -> Value {
    let who = record.attribution.clone().unwrap_or_default();
    let usage = record.usage.unwrap_or_default();
    json!([
        who.step,
        who.agent,
        who.agent_version,
        record.task,
        record.model,
        record.outcome,
        usage.input_tokens,
        usage.output_tokens
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_processes_answer_as_one() {
    let folder = tempfile::tempdir().expect("folder");
    let one = Program::up(PROGRAM, folder.path(), &["--set", "gateway.rate_limits.generate=1000"]);
    let (one, apart) = tokio::join!(one, Apart::start());
    let one = one.expect("the program starts");
    let together = story(&one.client().expect("a client")).await;
    let apart = story(&apart.client()).await;
    let (Value::Array(together), Value::Array(apart)) = (together, apart) else {
        unreachable!("stories are lists")
    };
    assert_eq!(together.len(), apart.len());
    assert!(together.iter().map(|part| part.to_string().len()).sum::<usize>() > 20_000, "much was compared");
    for (together, apart) in together.iter().zip(&apart) {
        assert_eq!(together, apart);
    }
}

/// What each service is asked while it is gone.
async fn ask(service: &str, client: &Client) -> Result<(), Status> {
    match service {
        "llm-router" => client.usage().list_usage(llm::ListUsageRequest::default()).await.map(drop),
        "retrieval" => {
            let request = retrieval::ListKnowledgeBasesRequest::default();
            client.knowledge().list_knowledge_bases(request).await.map(drop)
        }
        "learning" => client.brands().list_brands(learning::ListBrandsRequest::default()).await.map(drop),
        _ => client.runs().list_runs(runs::ListRunsRequest::default()).await.map(drop),
    }
}

fn is_missed_politely(service: &str, answer: Result<(), Status>, began: Instant) {
    let status = answer.expect_err(service);
    assert_eq!(status.code(), Code::Unavailable, "{service}: {status:?}");
    let wait = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
    assert!(
        wait.is_some_and(|wait| !wait.is_zero() && wait < Duration::from_secs(10)),
        "{service}: {status:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(5), "{service}: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_gone_is_missed_politely_and_runs_wait() {
    let mut apart = Apart::start().await;
    let client = apart.client();
    let brand = stocked_brand(&client, "Chillwright", documents(&["products", "issues"])).await;
    let whole = write(&client, post(&brand.brand_id)).await;

    for service in ["llm-router", "retrieval", "agent-orchestrator", "learning"] {
        apart.kill(service);
        let began = Instant::now();
        is_missed_politely(service, ask(service, &client).await, began);
        if service == "learning" {
            // A service that needs the lost one says so in the same words.
            let request =
                runs::CreateRunRequest { request_id: request_id(), spec: Some(post(&brand.brand_id)) };
            let began = Instant::now();
            is_missed_politely("create", client.runs().create_run(request).await.map(drop), began);
        }
        apart.serve(service).await;
        until("the service's return", async || ask(service, &client).await.ok()).await;
    }

    // A run that needs the library, while there is none.
    apart.kill("retrieval");
    let run = create_run(&client, post(&brand.brand_id)).await;
    let mut stream = watch(&client, &run.run_id, 0).await;
    let mut failures = 0;
    while failures < 5 {
        let event = within(stream.message()).await.expect("an event").expect("the run waits");
        if let Some(Event::StepFailed(failed)) = event.event {
            assert!(failed.will_retry, "{failed:?}");
            failures += 1;
        }
    }
    apart.serve("retrieval").await;
    let run = finished(&client, &run.run_id).await;
    let texts = [run, whole].map(|run| run.result.expect("a result").text);
    assert_eq!(texts[0], texts[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_called_directly_is_as_safe_as_through_the_door() {
    let folder = tempfile::tempdir().expect("folder");
    let router =
        Program::serve(PROGRAM, "llm-router", folder.path(), "127.0.0.1:0", &[]).await.expect("it starts");
    let direct = Client::new(&router.address, Some("cdk_a-key-is-not-a-token")).expect("a client");
    for client in [direct.clone(), direct.with_key(None).expect("a client")] {
        let status = client.usage().list_usage(llm::ListUsageRequest::default()).await.expect_err("refused");
        assert_eq!(status.code(), Code::Unauthenticated);
    }
    let mut models = LlmServiceClient::new(direct.channel());
    let status = models.generate(llm::GenerateRequest::default()).await.expect_err("refused");
    assert_eq!(status.code(), Code::Unauthenticated);
}
