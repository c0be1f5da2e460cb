//! The real program, killed at bad moments and started again on the same data: nothing is lost, nothing done twice,
//! nothing half. And ended politely: in time.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::*;
use copydesk_proto::agent_orchestrator::v1 as runs;
use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::retrieval::v1 as retrieval;
use copydesk_testkit::client::Client;
use copydesk_testkit::program::{self, Program};
use futures_util::StreamExt;
use runs::watch_run_response::Event;
use tonic::Code;

async fn up(data: &Path, more: &[&str]) -> (Program, Client) {
    let program = Program::up(PROGRAM, data, more).await.expect("the program starts");
    let client = program.client().expect("a client");
    (program, client)
}

const MANY_CALLS: [&str; 2] = ["--set", "gateway.rate_limits.generate=1000000"];

const MANY_RUNS: [&str; 2] = ["--set", "gateway.rate_limits.generate=1000"];

/// Reads events until this many have been seen.
async fn read(client: &Client, run_id: &str, count: usize) {
    let mut stream = watch(client, run_id, 0).await;
    for _ in 0..count {
        within(stream.message()).await.expect("an event");
    }
}

/// Calls to models by step.
async fn calls(client: &Client, run_id: &str) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for record in ledger(client, run_id).await.0 {
        assert_eq!(record.outcome, "ok");
        *calls.entry(record.attribution.expect("an attribution").step).or_default() += 1;
    }
    calls
}

/// Events from 1 without a gap, every step finished once, one final state.
fn is_whole(events: &[runs::WatchRunResponse], run: &runs::Run) {
    let numbers: Vec<u64> = events.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=run.last_seq).collect::<Vec<_>>());
    let mut finished = BTreeMap::new();
    let mut ends = 0;
    for event in events {
        match &event.event {
            Some(Event::StepFinished(step)) => *finished.entry(step.step.as_str()).or_insert(0) += 1,
            Some(Event::StateChanged(change)) if change.state() == runs::RunState::Succeeded => ends += 1,
            _ => {}
        }
    }
    let once: BTreeMap<&str, i32> = run.steps.iter().map(|step| (step.key.as_str(), 1)).collect();
    assert_eq!((finished, ends), (once, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_survives_kill_9_at_any_moment() {
    let folder = tempfile::tempdir().expect("folder");
    let (mut program, mut client) = up(folder.path(), &MANY_RUNS).await;
    let brand =
        stocked_brand(&client, "Chillwright", documents(&["products", "issues", "docs", "posts"])).await;
    let whole = write(&client, post(&brand.brand_id)).await;
    let expected = calls(&client, &whole.run_id).await;
    let text = whole.result.expect("a result").text;
    let mut interrupted = 0;
    for moment in (1..=8).chain([11, 15]) {
        let run = create_run(&client, post(&brand.brand_id)).await;
        read(&client, &run.run_id, moment).await;
        program.kill9().expect("killed");
        (program, client) = up(folder.path(), &MANY_RUNS).await;
        let began = get_run(&client, &run.run_id).await;
        interrupted += i32::from(began.state() != runs::RunState::Succeeded);
        let events = events(&client, &run.run_id, 0).await;
        let run = finished(&client, &run.run_id).await;
        is_whole(&events, &run);
        // The ledger and the stored answer are one transaction: a call whose answer was kept is not made again, and one
        // whose answer was lost was not counted.
        assert_eq!(calls(&client, &run.run_id).await, expected, "killed after event {moment}");
        let result = run.result.expect("a result");
        assert_eq!(result.text, text, "killed after event {moment}");
        assert!(result.safety.expect("a report").is_safe);
        assert_eq!(outcome(&client, &run.run_id).await.text, text);
    }
    assert!(interrupted >= 5, "only {interrupted} of 10 runs were at work when the program was killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ingestion_survives_kill_9_and_a_broken_upload_leaves_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let (program, client) = up(folder.path(), &[]).await;
    let base = knowledge_base(&client, "Chillwright").await;
    // One upload is stored and at work, another is still coming in.
    let stored = upload(&base, &request_id(), documents(&[""]));
    let stored = client.ingestion().ingest(tokio_stream::iter(stored)).await.expect("stored").into_inner();
    let ingestion_id = stored.ingestion.expect("an ingestion").ingestion_id;
    let half = (0..40).map(|n| document(&format!("half/{n}.md"), &"Half of it. ".repeat(10_000))).collect();
    let half = upload(&base, &request_id(), half);
    let coming = tokio_stream::iter(half).chain(futures_util::stream::pending());
    let coming = tokio::spawn({
        let client = client.clone();
        async move { client.ingestion().ingest(coming).await }
    });
    let request = retrieval::GetIngestionRequest { ingestion_id: ingestion_id.clone() };
    let at_work = until("the first document", async || {
        let now = client.ingestion().get_ingestion(request.clone()).await.expect("an ingestion").into_inner();
        now.ingestion.filter(|ingestion| ingestion.documents_done > 0)
    })
    .await;
    program.kill9().expect("killed");
    assert!(coming.await.expect("a task").is_err(), "the connection broke");
    assert_ne!(at_work.state(), retrieval::IngestionState::Succeeded, "it was killed too late");

    let (_program, client) = up(folder.path(), &[]).await;
    let done = ingested(&client, &ingestion_id).await;
    let samples = documents(&[""]);
    assert_eq!((done.documents_done, done.documents_total as usize), (done.documents_total, samples.len()));
    let list = retrieval::ListDocumentsRequest {
        knowledge_base_id: base.clone(),
        page_size: 500,
        ..Default::default()
    };
    let listed = client.knowledge().list_documents(list).await.expect("documents").into_inner().documents;
    let keys: std::collections::BTreeSet<&str> =
        listed.iter().map(|document| document.key.as_str()).collect();
    assert_eq!(
        keys,
        samples.iter().map(|sample| sample.key.as_str()).collect(),
        "each once, and none of the half"
    );
    assert_eq!(listed.len(), samples.len());
    let mut chunks = 0;
    for document in listed {
        let request = retrieval::GetDocumentRequest {
            document_id: document.document_id,
            with_text: true,
            ..Default::default()
        };
        let found = client.knowledge().get_document(request).await.expect("a document").into_inner();
        let found = found.document.expect("a document");
        let sample = samples.iter().find(|sample| sample.key == found.key).expect("a sample");
        assert_eq!(found.text.as_bytes(), sample.bytes, "{}", found.key);
        assert!(found.chunk_count > 0 && found.version == 1, "{}", found.key);
        chunks += u64::from(found.chunk_count);
    }
    let request = retrieval::GetKnowledgeBaseRequest { knowledge_base_id: base };
    let base = client.knowledge().get_knowledge_base(request).await.expect("found").into_inner();
    let base = base.knowledge_base.expect("a knowledge base");
    assert_eq!((base.document_count as usize, base.chunk_count), (samples.len(), chunks));
}

/// A model that takes every call and never answers.
fn silent_model() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let provider = format!(
        "llm_router.providers=[{{name=\"silent\", kind=\"openai\", base_url=\"http://{address}/v1\", api_key=\"k\", \
         models=[{{name=\"m\"}}]}}]"
    );
    (listener, provider)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polite_end_waits_for_nobody_longer_than_the_drain() {
    const DRAIN: Duration = Duration::from_secs(2);
    let folder = tempfile::tempdir().expect("folder");
    let (_listener, provider) = silent_model();
    let settings = [
        "--set",
        "server.drain_seconds=2",
        "--set",
        "agent_orchestrator.stop_grace_ms=200",
        "--set",
        &provider,
    ];
    let (mut program, client) = up(folder.path(), &settings).await;
    let brand = stocked_brand(&client, "Chillwright", documents(&["products"])).await;
    let run = create_run(&client, post(&brand.brand_id)).await;
    let mut stream = watch(&client, &run.run_id, 0).await;
    // Queued, running, three steps begun: two of them ask the model and will wait.
    for _ in 0..5 {
        within(stream.message()).await.expect("an event").expect("more events");
    }
    let began = Instant::now();
    program.ask_to_end().expect("asked");
    let watching = tokio::spawn(async move {
        loop {
            match stream.message().await {
                Ok(Some(_)) => {}
                ended => return ended,
            }
        }
    });
    let ended = tokio::task::spawn_blocking(move || program.wait(Duration::from_secs(30)));
    let ended = ended.await.expect("a task").expect("it ends");
    let took = began.elapsed();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(took < DRAIN * 2 + Duration::from_secs(2), "it took {took:?}");
    let status = within(watching).await.expect("a watcher").expect_err("the run has not ended");
    assert!(matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{status:?}");

    // Without the silent model the same run goes on to its end.
    let (_program, client) = up(folder.path(), &[]).await;
    let events = events(&client, &run.run_id, 0).await;
    is_whole(&events, &finished(&client, &run.run_id).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_has_one_owner() {
    let folder = tempfile::tempdir().expect("folder");
    let (_program, client) = up(folder.path(), &[]).await;
    let data = folder.path().to_str().expect("UTF-8");
    for words in [&["up"][..], &["serve", "gateway"], &["serve", "retrieval"]] {
        let args = [words, &["--data", data, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]].concat();
        let second = program::run(PROGRAM, &args).expect("it ends");
        assert_eq!(second.code, Some(1), "{words:?}");
        assert!(
            second.stderr.contains("is used by another process") && second.stderr.contains(data),
            "{}",
            second.stderr
        );
    }
    // The first goes on, and its endpoints are still told.
    client.runs().list_runs(runs::ListRunsRequest::default()).await.expect("it answers");
    assert!(folder.path().join("endpoints.json").is_file());
}

/// Calls a model again and again until the program is gone; the steps of the calls that were answered.
async fn answered_calls(client: Client, caller: usize, told: tokio::sync::mpsc::Sender<()>) -> Vec<String> {
    let mut answered = Vec::new();
    for n in 0.. {
        let step = format!("call.{caller}.{n}");
        let request = llm::GenerateRequest {
            attribution: Some(llm::Attribution { step: step.clone(), ..Default::default() }),
            messages: vec![llm::Message {
                role: llm::Role::User.into(),
                text: "Say what you know.".to_owned(),
                parts: Vec::new(),
            }],
            ..Default::default()
        };
        if client.llm().generate(request).await.is_err() {
            break;
        }
        answered.push(step);
        let _ = told.send(()).await;
    }
    answered
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answered_call_is_missing_in_the_ledger_after_kill_9() {
    let folder = tempfile::tempdir().expect("folder");
    let (mut program, mut client) = up(folder.path(), &MANY_CALLS).await;
    let mut expected = Vec::new();
    for round in 0..3 {
        let (told, mut heard) = tokio::sync::mpsc::channel(1);
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..8 {
            callers.spawn(answered_calls(client.clone(), round * 8 + caller, told.clone()));
        }
        for _ in 0..40 * (round + 1) {
            within(heard.recv()).await.expect("an answer");
        }
        program.kill9().expect("killed");
        drop(heard);
        expected.extend(callers.join_all().await.into_iter().flatten());
        (program, client) = up(folder.path(), &MANY_CALLS).await;
    }
    let mut found = BTreeMap::new();
    let mut request = llm::ListUsageRequest { page_size: 500, ..Default::default() };
    loop {
        let page = client.usage().list_usage(request.clone()).await.expect("the ledger").into_inner();
        for record in page.records {
            *found.entry(record.attribution.expect("an attribution").step).or_insert(0) += 1;
        }
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert!(expected.len() >= 240, "{} calls were answered", expected.len());
    for step in expected {
        assert_eq!(found.get(&step), Some(&1), "{step} was answered");
    }
}
