//! Keeps everything up to date in the background, so that searches need not: what any replica stored is entered, what was
//! deleted goes, words are weighed anew when lengths have changed. At start, and after a fault, that is everything that
//! was missed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use qdrant_client::qdrant::Filter;
use tokio_util::sync::CancellationToken;

use super::mark::{Mark, delete, of_base};
use super::{Key, QdrantIndex};
use crate::ports::IndexError;

/// Knowledge bases that are brought up to date at once. What is written at once is limited for all of them together.
const AT_ONCE: usize = 4;
/// How long to wait after a failure, at most.
const LONGEST_REST: Duration = Duration::from_secs(30);

impl QdrantIndex {
    /// Works until it is told to stop. What it stops in the middle of is done by the next.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.keep_up() => {}
        }
    }

    async fn keep_up(&self) {
        let every = Duration::from_millis(self.link.config().follow_ms);
        let mut rest = every;
        loop {
            match self.round().await {
                Ok(()) => {
                    if rest > every {
                        tracing::info!("the index server is up to date again");
                    }
                    rest = every;
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the index server is not up to date; searches need it"
                    );
                    rest = (rest * 2).min(LONGEST_REST).max(every);
                }
            }
            // The time-out is the wake-up for what other replicas stored.
            let _ = tokio::time::timeout(rest, self.wake.notified()).await;
        }
    }

    /// One look at everything. Its error is the first one; what it could do is done.
    pub(super) async fn round(&self) -> Result<(), IndexError> {
        let layout = self.layout().await?;
        let marks: HashMap<Key, Mark> = match self.link.marks(self.alias()).await {
            Ok(marks) => marks.into_iter().collect(),
            Err(fault) => {
                self.forget_all();
                tracing::debug!(collection = layout.collection, "the collection is looked for again");
                return Err(fault.into());
            }
        };
        // Read after the marks: a knowledge base with a mark and without a row is gone, not new.
        let rows = self.source.every_knowledge_base().await?;
        let mut first = Ok(());
        for of in marks.keys().filter(|of| !rows.iter().any(|(tenant, base, _)| (*tenant, *base) == **of)) {
            first = first.and(self.purge(*of).await);
        }
        let work = rows.into_iter().map(|(tenant, base, version)| {
            let of = (tenant, base);
            self.bring_along(of, version, marks.get(&of).copied())
        });
        let done: Vec<Result<(), IndexError>> = stream::iter(work).buffer_unordered(AT_ONCE).collect().await;
        done.into_iter().fold(first, Result::and)
    }

    /// One knowledge base.
    async fn bring_along(&self, of: Key, version: u64, mark: Option<Mark>) -> Result<(), IndexError> {
        // Rows were read after marks, so they are never behind, unless they were put back from a copy.
        let ahead = mark.is_some_and(|mark| mark.version > version);
        if ahead {
            tracing::warn!(base = %of.1, "the rows are older than the index: it is built again");
            self.purge(of).await?;
        }
        let mark = mark.filter(|_| !ahead);
        let held = self.held(of);
        if held.mark() != mark {
            held.note(mark);
        }
        let current = mark.filter(|mark| mark.version >= version && mark.is_clean());
        let mark = match current {
            Some(mark) => mark,
            None => self.catch_up(of, version).await?,
        };
        if current.is_some() && mark.references.low == mark.references.high && self.weighed_well(of, mark) {
            return Ok(());
        }
        let (average, references) = self.lengths(of, mark).await?;
        if references.low < references.high || references.are_far_from(average) {
            tracing::debug!(average, "words are weighed anew");
            self.weigh_anew(of, average).await?;
        }
        Ok(())
    }

    /// Whether nothing has changed since lengths were last looked at.
    fn weighed_well(&self, of: Key, mark: Mark) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        looked.insert(of, mark.version) == Some(mark.version)
    }

    /// Everything of a knowledge base that has no row.
    async fn purge(&self, of: Key) -> Result<(), IndexError> {
        let steps = vec![delete(Filter::must(of_base(of)))];
        self.link.change(self.alias(), steps).await?;
        // What was counted at versions that may come again is not believed.
        self.epoch.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&of);
        self.looked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&of);
        Ok(())
    }
}
