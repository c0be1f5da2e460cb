//! What the commands and the demo do with the mesh: the same few jobs, as a user would do them.
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use copydesk_proto::agent_orchestrator::v1::watch_run_response::Event;
use copydesk_proto::agent_orchestrator::v1::{
    CreateRunRequest, GetRunRequest, Run, RunSpec, RunState, WatchRunRequest, WatchRunResponse,
};
use copydesk_proto::learning::v1::{Brand, CreateBrandRequest, ListBrandsRequest, UpdateBrandRequest};
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::{
    CreateKnowledgeBaseRequest, IngestRequest, IngestSourceRequest, IngestSourceStart, IngestStart,
    Ingestion, IngestionState, WatchIngestionRequest, ingest_source_request, ingest_source_start,
};
use copydesk_types::BrandId;
use tonic::Code;

use crate::client::{Client, explain};
use crate::documents::SourceDocument;

/// Bytes of a document in one message; the contract allows 1 MiB.
const PIECE: usize = 512 << 10;
const RECONNECTS: usize = 20;

/// A request id that no other call has.
pub(crate) fn request_id(what: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("{what}-{}-{}", now.as_nanos(), std::process::id())
}

/// The brand with this id or name.
pub(crate) async fn find_brand(client: &Client, name: &str) -> anyhow::Result<Option<Brand>> {
    let by_id = name.parse::<BrandId>().is_ok();
    let mut page_token = String::new();
    loop {
        let request = ListBrandsRequest { page_size: 500, page_token };
        let page = client.brands().list_brands(request).await.map_err(|s| explain(&s))?.into_inner();
        let found = page.brands.into_iter().find(|b| if by_id { b.brand_id == name } else { b.name == name });
        if found.is_some() || page.next_page_token.is_empty() {
            return Ok(found);
        }
        page_token = page.next_page_token;
    }
}

/// The brand of this name with at least one knowledge base, and whether it is new; what is missing is made. Voice and
/// audience are a new brand's.
pub(crate) async fn ensure_brand(
    client: &Client,
    name: &str,
    voice: &str,
    audience: &str,
) -> anyhow::Result<(Brand, bool)> {
    let known = find_brand(client, name).await?;
    if let Some(brand) = known.iter().find(|b| !b.knowledge_base_ids.is_empty()) {
        return Ok((brand.clone(), false));
    }
    let is_new = known.is_none();
    let request = CreateKnowledgeBaseRequest {
        request_id: request_id("kb"),
        name: name.to_owned(),
        ..Default::default()
    };
    let made = client.knowledge().create_knowledge_base(request).await.map_err(|s| explain(&s))?.into_inner();
    let base = made.knowledge_base.context("the answer holds no knowledge base")?.knowledge_base_id;
    let brand = match known {
        Some(brand) => {
            let update_mask = Some(prost_types::FieldMask { paths: vec!["knowledge_base_ids".to_owned()] });
            let brand = Brand { knowledge_base_ids: vec![base], ..brand };
            let request = UpdateBrandRequest { brand: Some(brand), update_mask };
            client.brands().update_brand(request).await.map_err(|s| explain(&s))?.into_inner().brand
        }
        None => {
            let brand = Brand {
                name: name.to_owned(),
                voice: voice.to_owned(),
                audience: audience.to_owned(),
                knowledge_base_ids: vec![base],
                ..Brand::default()
            };
            let request = CreateBrandRequest { request_id: request_id("brand"), brand: Some(brand) };
            client.brands().create_brand(request).await.map_err(|s| explain(&s))?.into_inner().brand
        }
    };
    Ok((brand.context("the answer holds no brand")?, is_new))
}

/// Uploads documents and follows the job to its end.
pub(crate) async fn ingest(
    client: &Client,
    knowledge_base_id: &str,
    documents: Vec<SourceDocument>,
    mut progress: impl FnMut(&Ingestion),
) -> anyhow::Result<Ingestion> {
    let start =
        IngestStart { request_id: request_id("ingest"), knowledge_base_id: knowledge_base_id.to_owned() };
    let parts = documents.into_iter().flat_map(|document| {
        let head = Part::Document(document.start());
        let bytes = prost_bytes(document.bytes);
        let pieces = (0..bytes.len()).step_by(PIECE).map({
            let bytes = bytes.clone();
            move |at| Part::Content(bytes.slice(at..(at + PIECE).min(bytes.len())))
        });
        std::iter::once(head).chain(pieces.collect::<Vec<_>>())
    });
    let requests =
        std::iter::once(Part::Start(start)).chain(parts).map(|part| IngestRequest { part: Some(part) });
    let stored = client
        .ingestion()
        .ingest(tokio_stream::iter(requests.collect::<Vec<_>>()))
        .await
        .map_err(|s| explain(&s))?
        .into_inner();
    let stored = stored.ingestion.context("the answer holds no ingestion")?;
    follow_ingestion(client, stored, &mut progress).await
}

/// Has the mesh fetch a source and follows the job to its end.
pub(crate) async fn ingest_source(
    client: &Client,
    knowledge_base_id: &str,
    source: ingest_source_start::Source,
    mirror: bool,
    mut progress: impl FnMut(&Ingestion),
) -> anyhow::Result<Ingestion> {
    let start = IngestSourceStart {
        request_id: request_id("source"),
        knowledge_base_id: knowledge_base_id.to_owned(),
        mirror,
        source: Some(source),
        ..Default::default()
    };
    let part = ingest_source_request::Part::Start(start);
    let request = IngestSourceRequest { part: Some(part) };
    let stored = client.ingestion().ingest_source(tokio_stream::iter([request])).await;
    let stored = stored.map_err(|s| explain(&s))?.into_inner();
    let stored = stored.ingestion.context("the answer holds no ingestion")?;
    follow_ingestion(client, stored, &mut progress).await
}

async fn follow_ingestion(
    client: &Client,
    stored: Ingestion,
    progress: &mut impl FnMut(&Ingestion),
) -> anyhow::Result<Ingestion> {
    let mut last = stored;
    let request = WatchIngestionRequest { ingestion_id: last.ingestion_id.clone() };
    let mut watch = client.ingestion().watch_ingestion(request).await.map_err(|s| explain(&s))?.into_inner();
    while let Some(change) = watch.message().await.map_err(|s| explain(&s))? {
        if let Some(ingestion) = change.ingestion {
            progress(&ingestion);
            last = ingestion;
        }
    }
    if last.state() == IngestionState::Failed {
        let named: Vec<_> =
            last.failures.iter().map(|f| format!("  {}: {} ({})", f.key, f.message, f.reason)).collect();
        bail!("some documents could not be ingested:\n{}", named.join("\n"));
    }
    if last.state() == IngestionState::Cancelled {
        bail!("the ingestion was cancelled; {} of its documents are stored", last.documents_done);
    }
    Ok(last)
}

fn prost_bytes(bytes: Vec<u8>) -> bytes::Bytes {
    bytes::Bytes::from(bytes)
}

/// Queues a run.
pub(crate) async fn create_run(client: &Client, spec: RunSpec) -> anyhow::Result<Run> {
    let request = CreateRunRequest { request_id: request_id("run"), spec: Some(spec) };
    let made = client.runs().create_run(request).await.map_err(|s| explain(&s))?.into_inner();
    made.run.context("the answer holds no run")
}

/// Follows a run to its end, reconnecting where it left off, and returns it with its result.
pub(crate) async fn follow(
    client: &Client,
    run_id: &str,
    with_deltas: bool,
    mut seen: impl FnMut(&WatchRunResponse),
) -> anyhow::Result<Run> {
    let (mut after_seq, mut losses) = (0, 0);
    'connect: loop {
        let request = WatchRunRequest { run_id: run_id.to_owned(), after_seq, with_deltas };
        let mut watch = match client.runs().watch_run(request).await {
            Ok(watch) => watch.into_inner(),
            Err(status) if may_reconnect(status.code(), &mut losses) => continue,
            Err(status) => return Err(explain(&status)),
        };
        loop {
            match watch.message().await {
                Ok(Some(event)) => {
                    after_seq = after_seq.max(event.seq);
                    seen(&event);
                    if is_final(&event) {
                        break 'connect;
                    }
                }
                Ok(None) => break 'connect,
                Err(status) if may_reconnect(status.code(), &mut losses) => continue 'connect,
                Err(status) => return Err(explain(&status)),
            }
        }
    }
    get_run(client, run_id).await
}

fn may_reconnect(code: Code, losses: &mut usize) -> bool {
    *losses += 1;
    matches!(code, Code::Unavailable | Code::DeadlineExceeded) && *losses <= RECONNECTS
}

fn is_final(event: &WatchRunResponse) -> bool {
    match &event.event {
        Some(Event::StateChanged(change)) => {
            matches!(change.state(), RunState::Succeeded | RunState::Failed | RunState::Cancelled)
        }
        _ => false,
    }
}

/// A run as it stands.
pub(crate) async fn get_run(client: &Client, run_id: &str) -> anyhow::Result<Run> {
    let request = GetRunRequest { run_id: run_id.to_owned() };
    let run = client.runs().get_run(request).await.map_err(|s| explain(&s))?.into_inner();
    run.run.context("the answer holds no run")
}
