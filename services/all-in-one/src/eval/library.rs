//! The set as a knowledge base of the product.
use std::collections::HashMap;
use std::time::Instant;

use anyhow::{Context, bail};
use copydesk_proto::retrieval::v1::ingest_request::Part;
use copydesk_proto::retrieval::v1::{
    CreateKnowledgeBaseRequest, DocumentFormat, DocumentStart, GetKnowledgeBaseRequest, IngestRequest,
    IngestStart, Ingestion, ListDocumentsRequest, ListEmbeddersRequest, ListKnowledgeBasesRequest,
    WatchIngestionRequest,
};

use super::SAY_EVERY;
use super::dataset::{Dataset, Document};
use crate::client::{Client, explain};
use crate::desk::request_id;

/// Documents of one upload.
const UPLOAD: usize = 2_000;
/// Longest title that the contract takes, in characters.
const TITLE: usize = 500;

/// Longest name of a knowledge base that the contract takes, in characters.
const NAME: usize = 200;

/// The knowledge base with the set's documents.
pub(super) struct Library {
    pub base: String,
    pub chunks: u64,
    pub embedder: String,
    /// The set's id of each stored document.
    pub ids: HashMap<String, String>,
}

/// Uploads the documents and waits until they can be searched.
pub(super) async fn filled(client: &Client, set: &Dataset) -> anyhow::Result<Library> {
    let base = base(client, set).await?;
    let (mut said, mut done) = (Instant::now(), 0);
    for documents in set.documents.chunks(UPLOAD) {
        let last = upload(client, &base, documents, |now| {
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                eprintln!("  ingested {} of {} documents", done + now.documents_done, set.documents.len());
            }
        });
        let last = last.await?;
        if let Some(failed) = last.failures.first() {
            bail!("{} was not ingested: {} ({})", failed.key, failed.message, failed.reason);
        }
        done += last.documents_total;
    }
    let request = GetKnowledgeBaseRequest { knowledge_base_id: base.clone() };
    let stored = client.knowledge().get_knowledge_base(request).await.map_err(|s| explain(&s))?.into_inner();
    let stored = stored.knowledge_base.context("the answer holds no knowledge base")?;
    let ids = stored_ids(client, &base).await?;
    Ok(Library { base, chunks: stored.chunk_count, embedder: stored.embedder, ids })
}

/// The knowledge base of this set with the embedder that new ones get: of a measurement before, or a new one.
async fn base(client: &Client, set: &Dataset) -> anyhow::Result<String> {
    let embedders =
        client.knowledge().list_embedders(ListEmbeddersRequest {}).await.map_err(|s| explain(&s))?;
    let usual = embedders.into_inner().embedders.into_iter().find(|embedder| embedder.is_default);
    let embedder = usual.map(|embedder| embedder.embedder_id).unwrap_or_default();
    let name: String = format!("evaluation of {}", set.name).chars().take(NAME).collect();
    let request = ListKnowledgeBasesRequest { page_size: 500, ..ListKnowledgeBasesRequest::default() };
    let before =
        client.knowledge().list_knowledge_bases(request).await.map_err(|s| explain(&s))?.into_inner();
    if let Some(base) =
        before.knowledge_bases.into_iter().find(|base| base.name == name && base.embedder == embedder)
    {
        return Ok(base.knowledge_base_id);
    }
    let request = CreateKnowledgeBaseRequest {
        request_id: request_id("kb"),
        name,
        ..CreateKnowledgeBaseRequest::default()
    };
    let made = client.knowledge().create_knowledge_base(request).await.map_err(|s| explain(&s))?.into_inner();
    Ok(made.knowledge_base.context("the answer holds no knowledge base")?.knowledge_base_id)
}

async fn upload(
    client: &Client,
    base: &str,
    documents: &[Document],
    mut progress: impl FnMut(&Ingestion),
) -> anyhow::Result<Ingestion> {
    let start = IngestStart { request_id: request_id("ingest"), knowledge_base_id: base.to_owned() };
    let mut parts = vec![Part::Start(start)];
    documents.iter().for_each(|document| parts.extend(parts_of(document)));
    let requests: Vec<_> = parts.into_iter().map(|part| IngestRequest { part: Some(part) }).collect();
    let stored = client.ingestion().ingest(tokio_stream::iter(requests)).await.map_err(|s| explain(&s))?;
    let mut last = stored.into_inner().ingestion.context("the answer holds no ingestion")?;
    let request = WatchIngestionRequest { ingestion_id: last.ingestion_id.clone() };
    let mut watch = client.ingestion().watch_ingestion(request).await.map_err(|s| explain(&s))?.into_inner();
    while let Some(change) = watch.message().await.map_err(|s| explain(&s))? {
        if let Some(ingestion) = change.ingestion {
            progress(&ingestion);
            last = ingestion;
        }
    }
    Ok(last)
}

fn parts_of(document: &Document) -> Vec<Part> {
    // A document that is its title alone: there is nothing else to find it by.
    let text = if document.text.trim().is_empty() { &document.title } else { &document.text };
    let text = if text.trim().is_empty() { &document.id } else { text };
    let start = DocumentStart {
        key: document.id.clone(),
        title: document.title.chars().take(TITLE).collect(),
        format: DocumentFormat::Text.into(),
        source_kind: document.kind().into(),
        ..DocumentStart::default()
    };
    let bytes = bytes::Bytes::from(text.clone().into_bytes());
    let pieces = (0..bytes.len()).step_by(1 << 19).map(|at| bytes.slice(at..bytes.len().min(at + (1 << 19))));
    std::iter::once(Part::Document(start)).chain(pieces.map(Part::Content)).collect()
}

async fn stored_ids(client: &Client, base: &str) -> anyhow::Result<HashMap<String, String>> {
    let mut ids = HashMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListDocumentsRequest {
            knowledge_base_id: base.to_owned(),
            page_size: 500,
            page_token,
            ..ListDocumentsRequest::default()
        };
        let page = client.knowledge().list_documents(request).await.map_err(|s| explain(&s))?.into_inner();
        ids.extend(page.documents.into_iter().map(|document| (document.document_id, document.key)));
        if page.next_page_token.is_empty() {
            return Ok(ids);
        }
        page_token = page.next_page_token;
    }
}
