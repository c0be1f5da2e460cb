//! One document on its way from bytes to passages: parsed, cut, embedded. Nothing is written here but the object of its bytes,
//! to which nobody refers yet.

use std::sync::Arc;

use copydesk_rpc::CallContext;
use copydesk_types::{DocumentId, PassageId};
use tokio::task::{JoinError, JoinSet};

use super::Desk;
use super::embed::{Texts, told};
use super::objects::SOON;
use super::progress::AtWork;
use super::read::{Read, read};
use crate::chunkers;
use crate::domain::packing::{Clamp, Measure, Parent, pack_within};
use crate::domain::reading::{Page, Reading};
use crate::domain::records::{StagedDocument, reason};
use crate::domain::source::Format;
use crate::domain::stages::Stage;
use crate::domain::terms::DocumentTerms;
use crate::domain::titled::Heading;
use crate::error::Error;
use crate::ports::{Embedded, Embedder, ItemOutcome, Job, KnownVector, NewChunk, NewPassage, StoredPage};

/// A document that was parsed and cut.
struct Cut {
    title: String,
    text: String,
    heading: Heading,
    parents: Vec<Parent>,
    terms: DocumentTerms,
}

impl Cut {
    /// Its chunks, in order.
    fn chunks(&self) -> impl Iterator<Item = &str> {
        chunks(&self.text, &self.parents)
    }
}

fn chunks<'a>(text: &'a str, parents: &'a [Parent]) -> impl Iterator<Item = &'a str> {
    let children = parents.iter().flat_map(|parent| &parent.children);
    children.map(|child| text.get(child.span.clone()).unwrap_or_default())
}

/// Parses, cuts and embeds a document. What is wrong with it, or with us, is its outcome and not the job's end: also a
/// panic, which is caught here. It runs as a task of its own, which ends when this is dropped.
pub(super) async fn index(
    desk: &Desk,
    job: &Job,
    staged: &StagedDocument,
    at_work: &Arc<AtWork>,
) -> ItemOutcome {
    let (desk, job, staged, at_work) = (desk.clone(), job.clone(), staged.clone(), Arc::clone(at_work));
    let work = async move { passages(&desk, &job, &staged, &at_work).await };
    let mut task = JoinSet::new();
    task.spawn(CallContext::current().scope(work));
    match task.join_next().await {
        Some(Ok(Ok(outcome))) => outcome,
        Some(Ok(Err(Error::Lost(error))) | Err(error)) => panicked(&error),
        Some(Ok(Err(error))) => faulty(&error),
        None => failed(reason::INTERNAL, "the document could not be indexed"),
    }
}

async fn passages(
    desk: &Desk,
    job: &Job,
    staged: &StagedDocument,
    at_work: &AtWork,
) -> Result<ItemOutcome, Error> {
    at_work.tell(staged.ordinal, Stage::Parsing);
    let (format, reading, mut pictures) = match read(desk, job, staged).await? {
        Ok(Read { format, reading, pictures }) => (format, reading, pictures),
        Err(failure) => {
            return Ok(ItemOutcome::Failed { reason: failure.word(), message: failure.message });
        }
    };
    let base = desk.knowledge.knowledge_base(job.tenant, job.knowledge_base).await?;
    let embedder = base.as_ref().map(|base| desk.embedder_of(base)).transpose()?.flatten();
    at_work.tell(staged.ordinal, Stage::Chunking);
    let (cut, pages) = cut(desk, staged, reading, embedder.cloned()).await?;
    if cut.parents.is_empty() {
        return Ok(failed(reason::EMPTY, "there is no text to index"));
    }
    let vectors = match embedder {
        Some(embedder) => {
            at_work.tell(staged.ordinal, Stage::Embedding);
            embed(desk, job, embedder.as_ref(), &cut).await?
        }
        None => Vec::new(),
    };
    // Last: whatever fails before leaves nothing behind.
    let original = match staged.content == cut.text.as_bytes() {
        true => None,
        false => {
            Some(desk.put_bytes(job.tenant, staged.content.clone(), staged.content_hash.clone(), SOON).await?)
        }
    };
    let Cut { title, text, parents, terms, .. } = cut;
    let passages = numbered(parents, vectors);
    let embedder = embedder.map(|embedder| embedder.id().to_owned()).unwrap_or_default();
    let stored = |page: Page| StoredPage { picture_hash: pictures.remove(&page.number), page };
    let pages = pages.into_iter().map(stored).collect();
    let new_id = DocumentId::generate();
    Ok(ItemOutcome::Indexed { new_id, title, format, text, original, pages, passages, terms, embedder })
}

/// Cutting takes a second for the largest documents: it runs beside the runtime's own threads.
async fn cut(
    desk: &Desk,
    staged: &StagedDocument,
    reading: Reading,
    embedder: Option<Arc<dyn Embedder>>,
) -> Result<(Cut, Vec<Page>), Error> {
    let Reading { text, markdown, title, pages, .. } = reading;
    let (given, key) = (staged.title.clone(), staged.key.clone());
    let sizes = desk.config.sizes(staged.content_type);
    let work = move || {
        let form = if markdown { Format::Markdown } else { Format::Text };
        let mut outline = chunkers::outline(form, &text);
        let found = title.or(outline.title.take()).unwrap_or_else(|| key.clone());
        let title = if given.is_empty() { found } else { given };
        let measure = embedder.map(ReadBy);
        let clamp = measure.as_ref().and_then(ReadBy::clamp);
        let heading = Heading::new(&title, &key, clamp);
        let parents = pack_within(&text, &outline, sizes, clamp.map(|clamp| heading.below(clamp)))?;
        let terms = DocumentTerms::of(&title, chunks(&text, &parents));
        Ok::<_, Error>(Cut { title, text, heading, parents, terms })
    };
    Ok((tokio::task::spawn_blocking(work).await??, pages))
}

/// The tokens that an embedder reads.
pub(super) struct ReadBy(pub(super) Arc<dyn Embedder>);

impl ReadBy {
    /// Texts that it reads to their ends; no bound where it names none.
    pub(super) fn clamp(&self) -> Option<Clamp<'_>> {
        self.0.max_tokens().map(|max| Clamp { measure: self, max })
    }
}

impl Measure for ReadBy {
    fn tokens(&self, text: &str) -> usize {
        self.0.count(text)
    }
}

async fn embed(
    desk: &Desk,
    job: &Job,
    embedder: &dyn Embedder,
    cut: &Cut,
) -> Result<Vec<KnownVector>, Error> {
    let texts = cut.chunks().map(|chunk| cut.heading.over(chunk)).collect();
    let of = Texts { tenant: job.tenant, knowledge_base: job.knowledge_base, embedder };
    desk.document_vectors(&of, texts).await
}

/// Passages with ids, and their chunks with their vectors.
fn numbered(parents: Vec<Parent>, vectors: Vec<KnownVector>) -> Vec<NewPassage> {
    let mut vectors = vectors.into_iter();
    let passages = parents.into_iter().map(|parent| NewPassage {
        id: PassageId::generate(),
        span: parent.chunk.span.start as u64..parent.chunk.span.end as u64,
        tokens: parent.chunk.tokens as u32,
        chunks: (parent.children.into_iter())
            .map(|child| {
                let (text_hash, embedded) = vectors.next().unzip();
                let (vector, weights) = embedded.map(|own: Embedded| (own.vector, own.weights)).unzip();
                let (span, weights) = (child.span.start as u64..child.span.end as u64, weights.flatten());
                NewChunk { span, tokens: child.tokens as u32, vector, weights, text_hash }
            })
            .collect(),
    });
    passages.collect()
}

fn failed(reason: &'static str, message: &str) -> ItemOutcome {
    ItemOutcome::Failed { reason, message: message.to_owned() }
}

fn panicked(error: &JoinError) -> ItemOutcome {
    tracing::error!(error = error as &dyn std::error::Error, "the work on a document was lost");
    let message = "the work on this document was lost by a fault of ours; the log says which".to_owned();
    ItemOutcome::Lost { reason: reason::INTERNAL, message }
}

fn faulty(error: &Error) -> ItemOutcome {
    if let Some((reason, message)) = told(error) {
        tracing::warn!(reason, message, "a document is not indexed");
        return ItemOutcome::Failed { reason, message };
    }
    tracing::error!(error = error as &dyn std::error::Error, "a document is not indexed");
    failed(reason::INTERNAL, "the document could not be indexed; the log says why")
}
