//! Bad input through the front door: the code, the reason, every violated field, and nothing stored half-way.
#![allow(clippy::expect_used, reason = "a test says what it expects")]
use std::time::Duration;

use crate::support::*;
use bytes::Bytes;
use copydesk_proto::agent_orchestrator::v1 as runs;
use copydesk_proto::learning::v1 as learning;
use copydesk_proto::retrieval::v1 as retrieval;
use copydesk_proto::types::v1::ContentType;
use copydesk_testkit::client::{Client, Refusal};
use copydesk_testkit::program::Program;
use copydesk_testkit::raw::{self, Then};
use futures_util::StreamExt;
use prost::Message;
use retrieval::ingest_request::Part;
use tonic::{Code, Status};

const CREATE_RUN: &str = "copydesk.agent_orchestrator.v1.RunService/CreateRun";
const INGEST: &str = "copydesk.retrieval.v1.IngestionService/Ingest";

fn invalid(fields: &[&str]) -> Refusal {
    refusal(Code::InvalidArgument, "INVALID_FIELDS", fields)
}

fn refusal(code: Code, reason: &str, fields: &[&str]) -> Refusal {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    Refusal { code, reason: reason.to_owned(), fields }
}

/// A mesh with one brand that has knowledge, and nothing else.
async fn stocked() -> (House, learning::Brand) {
    let house = House::start().await;
    let base = knowledge_base(&house.client, "Chillwright").await;
    ingest(&house.client, &base, vec![document("a.md", "# Alerts\n\nA van sends five alerts a day.\n")])
        .await;
    let brand = brand(&house.client, "Chillwright", vec![base]).await;
    (house, brand)
}

async fn try_create(client: &Client, spec: runs::RunSpec) -> Result<runs::CreateRunResponse, Status> {
    let request = runs::CreateRunRequest { request_id: request_id(), spec: Some(spec) };
    Ok(client.runs().create_run(request).await?.into_inner())
}

async fn refused_run(client: &Client, spec: runs::RunSpec) -> Refusal {
    Refusal::of(&try_create(client, spec).await.expect_err("refused"))
}

/// No run, no call to a model, no document beside the one that was there.
async fn nothing_was_stored(client: &Client, brand: &learning::Brand) {
    let runs =
        client.runs().list_runs(runs::ListRunsRequest::default()).await.expect("runs").into_inner().runs;
    assert_eq!(runs, []);
    let (calls, cost) = ledger(client, "").await;
    assert_eq!((calls.len(), cost), (0, 0));
    assert_eq!(keys_of(client, &brand.knowledge_base_ids[0]).await, ["a.md"]);
}

async fn keys_of(client: &Client, base: &str) -> Vec<String> {
    let request =
        retrieval::ListDocumentsRequest { knowledge_base_id: base.to_owned(), ..Default::default() };
    let listed = client.knowledge().list_documents(request).await.expect("documents").into_inner().documents;
    listed.into_iter().map(|document| document.key).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_cannot_be_is_refused_with_every_fault() {
    let (house, brand) = stocked().await;
    let (client, good) = (&house.client, post(&brand.brand_id));
    let unknown = runs::RunSpec { workflow: "poetry".to_owned(), ..good.clone() };
    assert_eq!(refused_run(client, unknown).await, invalid(&["spec.workflow"]));
    for topic in ["", "   \n"] {
        let empty = runs::RunSpec { topic: topic.to_owned(), ..good.clone() };
        assert_eq!(refused_run(client, empty).await, invalid(&["spec.topic"]));
    }
    for number in [0, 99] {
        let odd = runs::RunSpec { content_type: number, ..good.clone() };
        assert_eq!(refused_run(client, odd).await, invalid(&["spec.content_type"]));
    }
    // Several at once: all are named.
    let all = runs::RunSpec {
        brand_id: "Chillwright".to_owned(),
        workflow: "poetry".to_owned(),
        topic: String::new(),
        content_type: 99,
        tone: "x".repeat(201),
        language: "not a tag".to_owned(),
        budget_nanos: Some(-1),
        knowledge_base_ids: vec!["kb_1".to_owned()],
        ..good.clone()
    };
    let fields = [
        "spec.brand_id",
        "spec.workflow",
        "spec.topic",
        "spec.content_type",
        "spec.tone",
        "spec.language",
        "spec.budget_nanos",
        "spec.knowledge_base_ids[0]",
    ];
    assert_eq!(refused_run(client, all.clone()).await, invalid(&fields));
    let request = runs::CreateRunRequest { request_id: String::new(), spec: Some(all) };
    let refused = Refusal::of(&client.runs().create_run(request).await.expect_err("refused"));
    assert_eq!(refused.fields.first().map(String::as_str), Some("request_id"));
    nothing_was_stored(client, &brand).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_needs_a_brand_and_the_brand_knowledge() {
    let (house, stocked) = stocked().await;
    let client = &house.client;
    let nobody = copydesk_types::BrandId::from_u128(7).to_string();
    assert_eq!(refused_run(client, post(&nobody)).await, refusal(Code::NotFound, "NOT_FOUND", &[]));
    let bare = brand(client, "Bare", Vec::new()).await;
    assert_eq!(
        refused_run(client, post(&bare.brand_id)).await,
        refusal(Code::FailedPrecondition, "NO_KNOWLEDGE", &[])
    );
    nothing_was_stored(client, &stocked).await;
    // Knowledge that says nothing of the topic: the run is made and ends without a text.
    let empty = knowledge_base(client, "Empty").await;
    let run =
        create_run(client, runs::RunSpec { knowledge_base_ids: vec![empty], ..post(&bare.brand_id) }).await;
    events(client, &run.run_id, 0).await;
    let run = get_run(client, &run.run_id).await;
    assert_eq!(run.state(), runs::RunState::Failed);
    assert_eq!(run.error.map(|error| error.reason).as_deref(), Some("NO_EVIDENCE"));
    assert!(run.result.is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_good_key_opens() {
    let (house, brand) = stocked().await;
    let request = || runs::CreateRunRequest { request_id: request_id(), spec: Some(post(&brand.brand_id)) };
    let address = house.mesh.address.to_string();
    let body = raw::frame(&request().encode_to_vec());
    let ask = async |headers: &[(&str, &str)]| {
        let status =
            raw::call(&address, CREATE_RUN, headers, vec![body.clone()], Then::End).await.expect("a status");
        Refusal::of(&status)
    };
    let missing = refusal(Code::Unauthenticated, "NO_CREDENTIAL", &[]);
    let wrong = refusal(Code::Unauthenticated, "BAD_CREDENTIAL", &[]);
    assert_eq!(ask(&[]).await, missing);
    assert_eq!(ask(&[("authorization", "Basic eDp5")]).await, missing);
    assert_eq!(ask(&[("x-api-key", "cdk_x")]).await, missing);
    for value in ["Bearer ", "Bearer cdk_wrong", "Bearer cdk_\u{e9}"] {
        let refused = ask(&[("authorization", value)]).await;
        assert!(refused == wrong || refused == missing, "{value}: {refused:?}");
    }
    assert_eq!(ask(&[("authorization", "Bearer cdk_wrong")]).await, wrong);
    // Nor does an identity that the client made up.
    let forged = [
        ("authorization", "Bearer cdk_wrong"),
        ("x-copydesk-tenant", "ten_1"),
        ("x-copydesk-identity", "a.b"),
    ];
    assert_eq!(ask(&forged).await, wrong);
    nothing_was_stored(&house.client, &brand).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn page_tokens_that_are_none_are_named() {
    let (house, _) = stocked().await;
    let client = &house.client;
    for token in ["x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAA", "\u{e9}\u{e9}"] {
        let request =
            runs::ListRunsRequest { page_token: token.to_owned(), page_size: 501, ..Default::default() };
        let refused = client.runs().list_runs(request).await.expect_err("refused");
        assert_eq!(Refusal::of(&refused), invalid(&["page_size", "page_token"]), "{token}");
    }
}

/// An upload of one document with these headers and bytes.
fn parts(base: &str, head: retrieval::DocumentStart, content: &[u8]) -> Vec<retrieval::IngestRequest> {
    let start = retrieval::IngestStart { request_id: request_id(), knowledge_base_id: base.to_owned() };
    let content = Part::Content(Bytes::copy_from_slice(content));
    let parts = [Part::Start(start), Part::Document(head), content];
    parts.into_iter().map(|part| retrieval::IngestRequest { part: Some(part) }).collect()
}

fn head(key: &str) -> retrieval::DocumentStart {
    let format = retrieval::DocumentFormat::Text.into();
    retrieval::DocumentStart { key: key.to_owned(), format, ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_are_no_text_are_refused_whole() {
    let (house, brand) = stocked().await;
    let (client, base) = (&house.client, &brand.knowledge_base_ids[0]);
    let refused = async |messages: Vec<retrieval::IngestRequest>| {
        let status = client.ingestion().ingest(tokio_stream::iter(messages)).await.expect_err("refused");
        Refusal::of(&status)
    };
    for bytes in [&b"caf\xe9"[..], b"\xff\xfe", b"cut in a character \xc3"] {
        assert_eq!(refused(parts(base, head("b.txt"), bytes)).await, invalid(&["document[b.txt].content"]));
    }
    // A good document before the bad one is not stored either.
    let mut both = parts(base, head("good.txt"), b"Good words.");
    both.extend(parts(base, head("bad.txt"), b"\xff").into_iter().skip(1));
    assert_eq!(refused(both).await, invalid(&["document[bad.txt].content"]));
    let odd = retrieval::DocumentStart { format: 99, content_type: 99, source_kind: 77, ..head("") };
    let fields = ["document[].key", "document[].format", "document[].source_kind", "document[].content_type"];
    assert_eq!(refused(parts(base, odd, b"x")).await, invalid(&fields));
    let unset = retrieval::DocumentStart { format: 0, content_type: ContentType::Ad.into(), ..head("c.txt") };
    assert_eq!(refused(parts(base, unset, b"x")).await, invalid(&["document[c.txt].format"]));
    assert_eq!(keys_of(client, base).await, ["a.md"]);
    nothing_was_stored(client, &brand).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_is_not_utf8_is_no_message() {
    let (house, brand) = stocked().await;
    let mut request = runs::CreateRunRequest { request_id: request_id(), spec: Some(post(&brand.brand_id)) };
    if let Some(spec) = &mut request.spec {
        spec.topic = "@@@@".to_owned();
    }
    let mut bytes = request.encode_to_vec();
    let at = bytes.windows(4).position(|four| four == b"@@@@").expect("the topic");
    bytes[at] = 0xff;
    let status = house.client.call(CREATE_RUN, vec![bytes.into()]).await.expect_err("refused");
    assert_eq!(Refusal::of(&status), refusal(Code::InvalidArgument, "MALFORMED_MESSAGE", &[]), "{status:?}");
    nothing_was_stored(&house.client, &brand).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_over_four_mebibytes_is_refused() {
    let (house, brand) = stocked().await;
    let topic = "x".repeat((4 << 20) + 1);
    let request = runs::CreateRunRequest {
        request_id: request_id(),
        spec: Some(runs::RunSpec { topic, ..post(&brand.brand_id) }),
    };
    let status = house.client.runs().create_run(request).await.expect_err("refused");
    assert_eq!(
        Refusal::of(&status),
        refusal(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", &[]),
        "{status:?}"
    );
    // Just below the limit it is read, and judged.
    let topic = "x".repeat(3 << 20);
    let refused = refused_run(&house.client, runs::RunSpec { topic, ..post(&brand.brand_id) }).await;
    assert_eq!(refused, invalid(&["spec.topic"]));
    nothing_was_stored(&house.client, &brand).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_millisecond_is_a_deadline() {
    let (house, brand) = stocked().await;
    let (address, base) = (house.mesh.address.to_string(), &brand.knowledge_base_ids[0]);
    let key = std::fs::read_to_string(house.folder.path().join("dev-key")).expect("the key");
    let key = format!("Bearer {}", key.trim());
    let headers = [("authorization", key.as_str()), ("grpc-timeout", "1m")];
    let exceeded = refusal(Code::DeadlineExceeded, "DEADLINE_EXCEEDED", &[]);

    // An upload that does not end cannot be that fast.
    let frames =
        parts(base, head("late.txt"), b"late").iter().map(|m| raw::frame(&m.encode_to_vec())).collect();
    let status = raw::call(&address, INGEST, &headers, frames, Then::Silence).await.expect("a status");
    assert_eq!(Refusal::of(&status), exceeded, "{status:?}");
    assert_eq!(keys_of(&house.client, base).await, ["a.md"]);

    // A run is made within the time or not at all. The same request again is the same run.
    let request = runs::CreateRunRequest { request_id: request_id(), spec: Some(post(&brand.brand_id)) };
    let frame = raw::frame(&request.encode_to_vec());
    let status = raw::call(&address, CREATE_RUN, &headers, vec![frame], Then::End).await.expect("a status");
    assert!(status.code() == Code::Ok || Refusal::of(&status) == exceeded, "{status:?}");
    let made =
        house.client.runs().create_run(request).await.expect("time enough").into_inner().run.expect("a run");
    events(&house.client, &made.run_id, 0).await;
    let all = house
        .client
        .runs()
        .list_runs(runs::ListRunsRequest::default())
        .await
        .expect("runs")
        .into_inner()
        .runs;
    assert_eq!(all.iter().map(|run| &run.run_id).collect::<Vec<_>>(), [&made.run_id]);

    // What is no time at all is no message from a client that keeps to the protocol.
    let headers = [("authorization", key.as_str()), ("grpc-timeout", "0m")];
    let list = vec![raw::frame(&[])];
    let method = "copydesk.agent_orchestrator.v1.RunService/ListRuns";
    let status = raw::call(&address, method, &headers, list, Then::End).await.expect("a status");
    assert_eq!(Refusal::of(&status), exceeded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_of_100_megabytes_is_refused_and_never_held() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 100;
    let folder = tempfile::tempdir().expect("folder");
    let program = Program::up(PROGRAM, folder.path(), &[]).await.expect("the program starts");
    let client = program.client().expect("client");
    let base = knowledge_base(&client, "Large").await;
    let before = program.memory_kb("VmHWM").expect("memory");
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let first = parts(&base, head("large.txt"), b"").into_iter().take(2);
    let pieces =
        (0..PIECES).map(move |_| retrieval::IngestRequest { part: Some(Part::Content(piece.clone())) });
    let stream = tokio_stream::iter(first.chain(pieces));
    let status = within(client.ingestion().ingest(stream)).await.expect_err("refused");
    assert_eq!(Refusal::of(&status), invalid(&["document[large.txt].content"]), "{status:?}");
    // The document's limit is 16 MiB; a few copies on their way through two servers are well below the whole.
    let grown = program.memory_kb("VmHWM").expect("memory").saturating_sub(before) / 1024;
    assert!(grown < 80, "the program grew by {grown} MiB");
    assert_eq!(keys_of(&client, &base).await, Vec::<String>::new());

    // The same bytes as many documents in a stream that never ends well: what was staged is gone after the break.
    let one = |n: usize| {
        let head = retrieval::IngestRequest { part: Some(Part::Document(head(&format!("{n}.txt")))) };
        let text = Bytes::from(format!("{n} ").repeat(PIECE / 8));
        [head, retrieval::IngestRequest { part: Some(Part::Content(text)) }]
    };
    let start = parts(&base, head("x"), b"").into_iter().take(1);
    let open = tokio_stream::iter(start.chain((0..20).flat_map(one))).chain(futures_util::stream::pending());
    let mut ingestion = client.ingestion();
    let broken = tokio::time::timeout(Duration::from_millis(500), ingestion.ingest(open)).await;
    assert!(broken.is_err(), "the stream was still open");
    assert_eq!(keys_of(&client, &base).await, Vec::<String>::new());
    let request = retrieval::GetKnowledgeBaseRequest { knowledge_base_id: base };
    let found = client.knowledge().get_knowledge_base(request).await.expect("found").into_inner();
    let found = found.knowledge_base.expect("a knowledge base");
    assert_eq!((found.document_count, found.chunk_count), (0, 0));
}
