//! The main job on the whole mesh in one process: documents in, a grounded text out, feedback heeded, events followed,
//! every call accounted for.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::collections::{BTreeMap, BTreeSet};

use crate::support::*;
use copydesk_proto::agent_orchestrator::v1 as runs;
use copydesk_proto::learning::v1::{FeedbackKind, RecordFeedbackRequest};
use copydesk_proto::retrieval::v1::{Document, GetDocumentRequest};
use copydesk_proto::types::v1::{Citation, ContentType};
use copydesk_testkit::client::{Client, Refusal};
use copydesk_testkit::raw;
use runs::watch_run_response::Event;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const STEPS_WITH_CALLS: [&str; 6] =
    ["brand_analysis", "draft.1", "finish", "research", "review.1", "strategy"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_in_a_grounded_text_out() {
    let house = House::start().await;
    let client = &house.client;
    let brand = stocked_brand(client, "Chillwright", documents(&[""])).await;
    for content_type in [ContentType::Social, ContentType::Blog] {
        let run =
            write(client, runs::RunSpec { content_type: content_type.into(), ..post(&brand.brand_id) }).await;
        every_sentence_has_its_source(client, &run).await;
        every_call_is_in_the_ledger(client, &run).await;
    }
}

async fn every_sentence_has_its_source(client: &Client, run: &runs::Run) {
    let result = run.result.as_ref().expect("a result");
    let safety = result.safety.as_ref().expect("a safety report");
    assert!(safety.is_safe && safety.not_safe_reason.is_empty(), "{safety:?}");
    assert!(result.degraded && !result.degraded_reason.is_empty(), "the offline writer says so");
    assert_eq!(result.search_mode, "lexical");
    let mut stored = BTreeMap::new();
    let (mut supported, mut end_before) = (0, 0);
    for sentence in &result.sentences {
        let span = sentence.span.expect("a span");
        let words = result.text.get(span.start as usize..span.end as usize).expect("a span of the text");
        assert!(span.start >= end_before, "{words:?} overlaps the sentence before it");
        end_before = span.end;
        match sentence.verdict() {
            runs::Verdict::NotCheckable => assert!(sentence.citations.is_empty(), "{words:?}"),
            runs::Verdict::Supported => {
                supported += 1;
                assert!(!sentence.citations.is_empty(), "{words:?} has no source");
            }
            verdict => panic!("{words:?} is {verdict:?} in a text that is safe"),
        }
        for citation in &sentence.citations {
            quotes_exactly(client, citation, &mut stored).await;
        }
    }
    assert!(supported >= 3, "{supported} supported sentences in {:?}", result.text);
    assert_eq!(safety.supported, supported);
}

async fn quotes_exactly(client: &Client, citation: &Citation, stored: &mut BTreeMap<String, Document>) {
    if !stored.contains_key(&citation.document_id) {
        let request = GetDocumentRequest {
            document_id: citation.document_id.clone(),
            with_text: true,
            ..Default::default()
        };
        let found = client.knowledge().get_document(request).await.expect("a document").into_inner();
        stored.insert(citation.document_id.clone(), found.document.expect("a document"));
    }
    let document = &stored[&citation.document_id];
    let span = citation.span.expect("a span");
    assert_eq!(document.text.as_bytes()[span.start as usize..span.end as usize], *citation.quote.as_bytes());
    assert!(!citation.quote.trim().is_empty());
    assert_eq!((document.version, &document.title), (citation.document_version, &citation.title));
    assert_eq!(document.source_kind, citation.source_kind);
}

async fn every_call_is_in_the_ledger(client: &Client, run: &runs::Run) {
    let (records, total) = ledger(client, &run.run_id).await;
    let agents: BTreeMap<&str, &str> = run.steps.iter().map(|s| (s.key.as_str(), s.agent.as_str())).collect();
    for record in &records {
        let who = record.attribution.as_ref().expect("an attribution");
        assert_eq!(who.run_id, run.run_id);
        assert_eq!(agents.get(who.step.as_str()), Some(&who.agent.as_str()), "{who:?}");
        assert!(who.agent_version.starts_with(&format!("{}@", who.agent)), "{who:?}");
        assert_eq!(record.outcome, "ok");
    }
    let steps: Vec<&str> =
        records.iter().filter_map(|r| Some(r.attribution.as_ref()?.step.as_str())).collect();
    assert_eq!(BTreeSet::from_iter(steps), BTreeSet::from(STEPS_WITH_CALLS));
    assert_eq!(records.iter().map(|r| r.cost_nanos).sum::<i64>(), total);
    assert_eq!((run.cost_nanos, run.steps.iter().map(|s| s.cost_nanos).sum::<i64>()), (total, total));
    let usage = run.usage.expect("tokens");
    let tokens = records
        .iter()
        .filter_map(|r| r.usage)
        .fold((0, 0), |sum, u| (sum.0 + u.input_tokens, sum.1 + u.output_tokens));
    assert_eq!((usage.input_tokens, usage.output_tokens), tokens);
    assert!(tokens.0 > 0 && tokens.1 > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feedback_changes_the_next_text_and_the_lesson_is_named() {
    let house = House::start().await;
    let client = &house.client;
    let brand =
        stocked_brand(client, "Chillwright", documents(&["products", "issues", "docs", "posts"])).await;
    let first = write(client, post(&brand.brand_id)).await;
    let first_result = first.result.expect("a result");
    assert!(first_result.lessons.is_empty(), "nothing was learned yet");
    assert!(words(&first_result.text) > 60, "the first text must be longer than what is asked for");

    let told = outcome(client, &first.run_id).await;
    assert_eq!(
        (told.brand_id.as_str(), told.text.as_str()),
        (brand.brand_id.as_str(), first_result.text.as_str())
    );
    let verdict = RecordFeedbackRequest {
        request_id: request_id(),
        run_id: first.run_id.clone(),
        kind: FeedbackKind::Regenerate.into(),
        comment: "Too long: at most 60 words. Open with a question.".to_owned(),
        ..RecordFeedbackRequest::default()
    };
    let learned = client.feedback().record_feedback(verdict).await.expect("feedback").into_inner().lessons;
    assert_eq!(learned.len(), 2, "{learned:?}");
    assert!(learned.iter().all(|lesson| lesson.run_ids == [first.run_id.clone()]));

    let second = write(client, post(&brand.brand_id)).await.result.expect("a result");
    let named: BTreeSet<&str> = second.lessons.iter().map(|l| l.lesson_id.as_str()).collect();
    assert_eq!(named, learned.iter().map(|l| l.lesson_id.as_str()).collect());
    assert!(words(&second.text) <= 60, "{:?}", second.text);
    let opening = second.sentences.first().and_then(|s| s.span).expect("a first sentence");
    assert!(second.text[opening.start as usize..opening.end as usize].ends_with('?'), "{:?}", second.text);
    assert!(second.safety.expect("a report").is_safe);
}

/// Words without hashtags, which no lesson counts.
fn words(text: &str) -> usize {
    text.split_whitespace().filter(|word| !word.starts_with('#')).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_see_every_event_once_though_one_comes_back() {
    let house = House::start().await;
    let client = &house.client;
    let brand = stocked_brand(client, "Chillwright", documents(&["products", "issues"])).await;
    let run = create_run(client, post(&brand.brand_id)).await;

    let steady = tokio::spawn({
        let (client, run_id) = (client.clone(), run.run_id.clone());
        async move { events(&client, &run_id, 0).await }
    });
    let mut seen: Vec<u64> = Vec::new();
    // Reads three events, goes away, and comes back where it left off, until the run has ended.
    let mut last = None;
    while !last.as_ref().is_some_and(is_final) {
        let mut stream = watch(client, &run.run_id, seen.last().copied().unwrap_or(0)).await;
        for _ in 0..3 {
            let Some(event) = within(stream.message()).await.expect("an event") else { break };
            if is_stored(&event) {
                seen.push(event.seq);
                last = Some(event);
            }
        }
    }
    let steady: Vec<u64> = steady.await.expect("a watcher").iter().map(|event| event.seq).collect();
    let all: Vec<u64> = (1..=get_run(client, &run.run_id).await.last_seq).collect();
    assert_eq!(steady, all);
    assert_eq!(seen, all);
    assert!(all.len() > 15, "a run has more events than {}", all.len());

    let beyond =
        runs::WatchRunRequest { run_id: run.run_id, after_seq: all.len() as u64 + 1, with_deltas: false };
    let refused = client.runs().watch_run(beyond).await.expect_err("there is no such number");
    assert_eq!(refused.code(), Code::OutOfRange);
}

fn is_final(event: &runs::WatchRunResponse) -> bool {
    matches!(&event.event, Some(Event::StateChanged(change)) if change.state() == runs::RunState::Succeeded)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_can_be_followed_while_it_is_written() {
    let house = House::start().await;
    let client = &house.client;
    let brand = stocked_brand(client, "Chillwright", documents(&["products", "issues"])).await;
    let run = create_run(client, post(&brand.brand_id)).await;
    let request = runs::WatchRunRequest { run_id: run.run_id.clone(), after_seq: 0, with_deltas: true };
    let mut stream = client.runs().watch_run(request).await.expect("a watch").into_inner();
    let mut draft = String::new();
    while let Some(event) = within(stream.message()).await.expect("an event") {
        if let Some(Event::DraftDelta(delta)) = event.event {
            assert_eq!((delta.step.as_str(), delta.attempt), ("draft.1", 1));
            assert_eq!(delta.offset as usize, draft.len(), "deltas follow each other");
            draft.push_str(&delta.text);
        }
    }
    let revisions = get_run(client, &run.run_id).await.result.expect("a result").revisions;
    assert_eq!(revisions.first().map(|revision| revision.text.trim()), Some(draft.trim()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mesh_says_how_it_is() {
    let house = House::start().await;
    let client = &house.client;
    let brand = stocked_brand(client, "Chillwright", documents(&["products"])).await;
    write(client, post(&brand.brand_id)).await;

    let admin = house.mesh.admin.to_string();
    let (status, page) = raw::get(&admin, "/metrics").await.expect("the page");
    assert!(status.ends_with("200 OK"), "{status}");
    let shown = |name: &str, label: &str| {
        page.lines().any(|line| line.starts_with(name) && line.contains(label) && !line.ends_with(" 0"))
    };
    for (name, label) in [
        ("rpc_server_call_duration_seconds_count", "copydesk.agent_orchestrator.v1.RunService/CreateRun"),
        ("rpc_client_call_duration_seconds_count", "copydesk.retrieval.v1.SearchService/Search"),
        ("generations_total", "succeeded"),
        ("copydesk_llm_calls_total", "offline"),
        ("copydesk_llm_tokens_total", ""),
    ] {
        assert!(shown(name, label), "{name} {label} is not on the page:\n{page}");
    }
    assert!(!page.contains(&brand.brand_id) && !page.contains("Chillwright"), "labels name no customer");

    assert!(raw::get(&admin, "/health/ready").await.expect("an answer").0.ends_with("200 OK"));
    // Health needs no key.
    let mut health = HealthClient::new(client.channel());
    for service in
        ["", "readiness", "copydesk.agent_orchestrator.v1.RunService", "copydesk.gateway.v1.KeyService"]
    {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.expect("an answer").into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service:?}");
    }
    let unknown = health.check(HealthCheckRequest { service: "copydesk.nothing".to_owned() }).await;
    assert_eq!(Refusal::of(&unknown.expect_err("unknown")).code, Code::NotFound);
}
