//! One document on its way from bytes to passages: parsed, cut, embedded. Nothing is written here.

use std::sync::Arc;

use copydesk_types::{DocumentId, PassageId};

use super::Desk;
use crate::domain::packing::{Parent, pack};
use crate::domain::records::{StagedDocument, reason};
use crate::error::Error;
use crate::parsers::{self, ParseFailure, ParseLimits, Parsed};
use crate::ports::{Embedder, ItemOutcome, Job, NewChunk, NewPassage};

/// Texts given to the embedder at once.
const EMBED_BATCH: usize = 32;

/// A document that was parsed and cut.
struct Cut {
    title: String,
    text: String,
    parents: Vec<Parent>,
}

/// Parses, cuts and embeds a document. What is wrong with it, or with us, fails the document, not the job.
pub(super) async fn index(desk: &Desk, job: &Job, staged: &StagedDocument) -> ItemOutcome {
    match passages(desk, job, staged).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a document is not indexed");
            failed(reason::INTERNAL, "the document could not be indexed; the log says why")
        }
    }
}

async fn passages(desk: &Desk, job: &Job, staged: &StagedDocument) -> Result<ItemOutcome, Error> {
    let parsed = match parse(desk, staged).await? {
        Ok(parsed) => parsed,
        Err(ParseFailure { reason, message }) => return Ok(ItemOutcome::Failed { reason, message }),
    };
    let Cut { title, text, parents } = cut(desk, staged, parsed).await?;
    if parents.is_empty() {
        return Ok(failed(reason::EMPTY, "there is no text to index"));
    }
    let vectors = match embedder(desk, job).await? {
        Some(embedder) => embed(embedder.as_ref(), &text, &parents).await?,
        None => Vec::new(),
    };
    let passages = numbered(parents, vectors);
    Ok(ItemOutcome::Indexed { new_id: DocumentId::generate(), title, text, passages })
}

/// Parsing takes a second for the largest documents: it runs beside the runtime's own threads.
async fn parse(desk: &Desk, staged: &StagedDocument) -> Result<Result<Parsed, ParseFailure>, Error> {
    let largest = desk.config.limits.max_document_bytes;
    let limits = ParseLimits { text_bytes: usize::try_from(largest).unwrap_or(usize::MAX) };
    let (format, content) = (staged.format, staged.content.clone());
    Ok(tokio::task::spawn_blocking(move || parsers::parse(format, &content, &limits)).await?)
}

/// So does cutting.
async fn cut(desk: &Desk, staged: &StagedDocument, parsed: Parsed) -> Result<Cut, Error> {
    let Parsed { text, mut outline } = parsed;
    let found = outline.title.take().unwrap_or_else(|| staged.key.clone());
    let title = if staged.title.is_empty() { found } else { staged.title.clone() };
    let sizes = desk.config.sizes(staged.content_type);
    let cut = move || Ok(Cut { parents: pack(&text, &outline, sizes)?, title, text });
    tokio::task::spawn_blocking(cut).await?
}

/// The embedder, if the knowledge base was made with it.
async fn embedder<'a>(desk: &'a Desk, job: &Job) -> Result<Option<&'a Arc<dyn Embedder>>, Error> {
    let Some(embedder) = &desk.embedder else { return Ok(None) };
    let base = desk.knowledge.knowledge_base(job.tenant, job.knowledge_base).await?;
    Ok(base.filter(|base| base.embedder == embedder.id()).map(|_| embedder))
}

async fn embed(embedder: &dyn Embedder, text: &str, parents: &[Parent]) -> Result<Vec<Vec<f32>>, Error> {
    let children: Vec<&str> = parents
        .iter()
        .flat_map(|parent| &parent.children)
        .filter_map(|child| text.get(child.span.clone()))
        .collect();
    let mut vectors = Vec::with_capacity(children.len());
    for batch in children.chunks(EMBED_BATCH) {
        let texts = batch.iter().map(|text| (*text).to_owned()).collect();
        vectors.extend(embedder.embed(texts).await.map_err(Error::Embedder)?);
    }
    Ok(vectors)
}

/// Passages with ids, and their chunks with their vectors.
fn numbered(parents: Vec<Parent>, vectors: Vec<Vec<f32>>) -> Vec<NewPassage> {
    let mut vectors = vectors.into_iter();
    let passages = parents.into_iter().map(|parent| NewPassage {
        id: PassageId::generate(),
        span: parent.chunk.span.start as u64..parent.chunk.span.end as u64,
        tokens: parent.chunk.tokens as u32,
        chunks: (parent.children.into_iter())
            .map(|child| NewChunk {
                span: child.span.start as u64..child.span.end as u64,
                tokens: child.tokens as u32,
                vector: vectors.next(),
            })
            .collect(),
    });
    passages.collect()
}

fn failed(reason: &'static str, message: &str) -> ItemOutcome {
    ItemOutcome::Failed { reason, message: message.to_owned() }
}
