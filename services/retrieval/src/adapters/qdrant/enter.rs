//! From rows into points: what changed since the version that is shown.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use qdrant_client::qdrant::{Condition, Filter, PointStruct};

use super::layout::{Layout, key};
use super::link::Fault;
use super::mark::{Mark, born_before, delete, of_base, upsert};
use super::point::{Origin, points};
use super::{Key, QdrantIndex};
use crate::adapters::catch_up::{Batch, Batches};
use crate::domain::index::IndexedDocument;
use crate::domain::terms::DocumentTerms;
use crate::ports::{Change, IndexError};

/// Documents whose replaced points are deleted by one condition each, at most so many together.
const TOGETHER: usize = 256;

/// What a batch of changes comes to.
struct Prepared {
    changes: Vec<Change>,
    documents: Vec<(u64, IndexedDocument)>,
    widths: BTreeSet<usize>,
    /// Whether a chunk has weights of tokens.
    tokens: bool,
    /// Mean number of terms of a chunk; 0 for none.
    average: f64,
}

impl QdrantIndex {
    /// Brings a knowledge base to a version at least, and gives its mark then.
    pub(super) async fn catch_up(&self, of: Key, version: u64) -> Result<Mark, IndexError> {
        let held = self.held(of);
        let _turn = held.catching_up.lock().await;
        if let Some(mark) = held.mark().filter(|mark| mark.version >= version && mark.is_clean()) {
            return Ok(mark);
        }
        self.layout().await?;
        match Box::pin(self.bring(self.alias(), of, version)).await {
            Ok(mark) => {
                held.note(Some(mark));
                Ok(mark)
            }
            Err(error) => {
                held.note(None);
                Err(error)
            }
        }
    }

    /// Weighs the words of a knowledge base at another mean length, in place.
    pub(super) async fn weigh_anew(&self, of: Key, average: f64) -> Result<(), IndexError> {
        let held = self.held(of);
        let _turn = held.catching_up.lock().await;
        let alias = self.alias();
        let Some(mark) = self.link.mark(alias, of).await?.filter(Mark::is_clean) else { return Ok(()) };
        let new = Mark::nothing(average).references;
        let both = Mark { references: mark.references.and(new), ..mark };
        self.link.change(alias, vec![upsert(vec![both.point(of)])]).await?;
        held.note(Some(both));
        // Points of the same versions have the same ids: they are written over.
        let shown = self.source.changes(of.0, of.1, 0).await?;
        let shown = shown.into_iter().filter(|change| change.version <= mark.version).collect();
        let mut batches = Batches::new(self.source.as_ref(), of.0, shown);
        while let Some(batch) = batches.read().await? {
            let prepared = prepared(batch).await?;
            self.write(alias, of, prepared.documents, new.low).await?;
        }
        let done = Mark { references: new, ..mark };
        self.link.change(alias, vec![upsert(vec![done.point(of)])]).await?;
        held.note(Some(done));
        Ok(())
    }

    /// The same in a collection that may not be the one that searches use.
    async fn bring(&self, collection: &str, of: Key, version: u64) -> Result<Mark, IndexError> {
        let found = self.marked(collection, of).await?;
        let mut there = found.is_some();
        let mut mark = found.unwrap_or_else(|| Mark::nothing(0.0));
        if !mark.is_clean() {
            self.clean(collection, of, &mut mark).await?;
        }
        let changes = self.source.changes(of.0, of.1, mark.version).await?;
        let mut batches = Batches::new(self.source.as_ref(), of.0, changes);
        while let Some(batch) = batches.read().await? {
            let prepared = prepared(batch).await?;
            if mark.version == 0 {
                mark = Mark::nothing(prepared.average);
            }
            Box::pin(self.enter(collection, of, prepared, &mut mark)).await?;
            there = true;
        }
        if !there || mark.version < version {
            mark.version = mark.version.max(version);
            mark.clean = mark.version;
            self.link.change(collection, vec![upsert(vec![mark.point(of)])]).await?;
        }
        Ok(mark)
    }

    /// The mark; a collection that is gone is made again.
    async fn marked(&self, collection: &str, of: Key) -> Result<Option<Mark>, Fault> {
        match self.link.mark(collection, of).await {
            Err(Fault::Missing(_)) if collection == self.alias() => {
                self.forget_all();
                self.layout().await?;
                self.link.mark(collection, of).await
            }
            other => other,
        }
    }

    /// Writes what is new, invisibly; shows it; deletes what it replaces.
    async fn enter(
        &self,
        collection: &str,
        of: Key,
        prepared: Prepared,
        mark: &mut Mark,
    ) -> Result<(), IndexError> {
        if collection == self.alias() {
            self.fit(&prepared.widths, prepared.tokens).await?;
        }
        let Prepared { changes, documents, .. } = prepared;
        self.write(collection, of, documents, mark.references.low).await?;
        let Some(last) = changes.last().map(|change| change.version) else { return Ok(()) };
        let shown = Mark { version: last.max(mark.version), ..*mark };
        let clean = Mark { clean: shown.version, ..shown };
        let mut steps = vec![upsert(vec![shown.point(of)])];
        steps.extend(changes.chunks(TOGETHER).map(|changes| delete(replaced(of, changes))));
        steps.push(upsert(vec![clean.point(of)]));
        self.link.change(collection, steps).await?;
        *mark = clean;
        Ok(())
    }

    /// Points in batches, several batches at once.
    async fn write(
        &self,
        collection: &str,
        of: Key,
        documents: Vec<(u64, IndexedDocument)>,
        reference: f64,
    ) -> Result<(), Fault> {
        let config = self.link.config();
        let made = documents.into_iter().flat_map(|(born, document)| {
            points(document, &Origin { tenant: of.0, base: of.1, born, reference })
        });
        let batches = stream::iter(Chunks { points: made, size: config.batch as usize });
        batches
            .map(|points| self.link.change(collection, vec![upsert(points)]))
            .buffer_unordered(config.writes_at_once as usize)
            .try_collect::<()>()
            .await
    }

    /// Deletes what was replaced when somebody died before doing so.
    async fn clean(&self, collection: &str, of: Key, mark: &mut Mark) -> Result<(), IndexError> {
        let changes = self.source.changes(of.0, of.1, mark.clean).await?;
        let shown: Vec<Change> =
            changes.into_iter().filter(|change| change.version <= mark.version).collect();
        let clean = Mark { clean: mark.version, ..*mark };
        let mut steps: Vec<_> = shown.chunks(TOGETHER).map(|changes| delete(replaced(of, changes))).collect();
        steps.push(upsert(vec![clean.point(of)]));
        self.link.change(collection, steps).await?;
        *mark = clean;
        Ok(())
    }

    /// Deletes points of documents that were replaced or deleted and are there nevertheless: somebody wrote them late.
    pub(super) async fn heal(&self, of: Key, changes: &[Change]) -> Result<(), Fault> {
        let steps = changes.chunks(TOGETHER).map(|changes| delete(replaced(of, changes))).collect();
        self.link.change(self.alias(), steps).await?;
        self.epoch.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }

    /// Lets the collection take vectors of these widths, and weights of tokens if there are some. A server that cannot gets
    /// a new collection, which is filled beside the old one; then the alias is moved.
    async fn fit(&self, widths: &BTreeSet<usize>, tokens: bool) -> Result<(), IndexError> {
        let layout = self.layout().await?;
        if widths.is_subset(&layout.widths) && (layout.tokens || !tokens) {
            return Ok(());
        }
        let _turn = self.making.lock().await;
        let mut layout = self.known_layout().unwrap_or(layout);
        for width in widths.difference(&layout.widths.clone()) {
            match self.link.widen(&layout, *width).await {
                Ok(()) => {
                    let mut widths = layout.widths.clone();
                    widths.insert(*width);
                    layout = Arc::new(Layout { widths, ..Layout::clone(&layout) });
                    self.set_layout(Some(Arc::clone(&layout)));
                }
                Err(Fault::Unknown(_)) => return self.move_on(&layout, widths).await,
                Err(fault) => return Err(fault.into()),
            }
        }
        if tokens && !layout.tokens {
            match self.link.take_tokens(&layout).await {
                Ok(()) => self.set_layout(Some(Arc::new(Layout { tokens, ..Layout::clone(&layout) }))),
                Err(Fault::Unknown(_)) => return self.move_on(&layout, widths).await,
                Err(fault) => return Err(fault.into()),
            }
        }
        Ok(())
    }

    /// Fills a collection of another layout with everything that is shown, then uses it.
    async fn move_on(&self, old: &Layout, widths: &BTreeSet<usize>) -> Result<(), IndexError> {
        let next = self.link.next_generation(old, widths).await?;
        tracing::info!(from = old.collection, to = next.collection, "the index moves to a new collection");
        for (of, mark) in self.link.marks(&old.collection).await? {
            Box::pin(self.bring(&next.collection, of, mark.version)).await?;
        }
        self.link.switch(Some(&old.collection), &next.collection).await?;
        self.set_layout(Some(Arc::new(next)));
        Ok(())
    }
}

/// The points that these changes replaced.
fn replaced(of: Key, changes: &[Change]) -> Filter {
    let one = |change: &Change| {
        let document = Condition::matches(key::DOCUMENT, change.document.to_string());
        Condition::from(Filter::must([document, born_before(change.version)]))
    };
    let any = Filter::should(changes.iter().map(one));
    let [tenant, base] = of_base(of);
    Filter::must([tenant, base, any.into()])
}

/// Puts together what a batch needs, beside the runtime's own threads.
async fn prepared(batch: Batch) -> Result<Prepared, IndexError> {
    let work = move || {
        let (mut changes, mut documents, mut widths) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (mut chunks, mut length, mut tokens) = (0u64, 0u64, false);
        for (change, document) in batch.documents() {
            if let Some(document) = document {
                chunks += document.chunks.len() as u64;
                length += (0..document.chunks.len()).map(|at| length_of(&document.terms, at)).sum::<u64>();
                widths.extend(document.chunks.iter().filter_map(|chunk| chunk.vector.as_ref().map(Vec::len)));
                tokens |= document.chunks.iter().any(|chunk| chunk.weights.is_some());
                documents.push((change.version, document));
            }
            changes.push(change);
        }
        let average = if chunks == 0 { 0.0 } else { length as f64 / chunks as f64 };
        Prepared { changes, documents, widths, tokens, average }
    };
    Ok(tokio::task::spawn_blocking(work).await?)
}

/// How many terms a chunk has, repeats and those of the title included.
fn length_of(terms: &DocumentTerms, chunk: usize) -> u64 {
    terms.of_chunk(chunk).map(|one| u64::from(one.count)).sum()
}

/// Points in portions.
struct Chunks<I> {
    points: I,
    size: usize,
}

impl<I: Iterator<Item = PointStruct>> Iterator for Chunks<I> {
    type Item = Vec<PointStruct>;

    fn next(&mut self) -> Option<Self::Item> {
        let portion: Vec<PointStruct> = self.points.by_ref().take(self.size).collect();
        (!portion.is_empty()).then_some(portion)
    }
}
