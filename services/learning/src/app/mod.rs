//! The desk: one use case per file. Ids and times are made here; decisions are `domain`'s, SQL is the store's.

mod brand_metrics;
mod create_brand;
mod find_lessons;
mod outcomes;
mod read_brands;
mod read_lessons;
mod record_feedback;
mod update_brand;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::ports::{Clock, Cursor, Page, PublishedTexts, Store};
use brand_metrics::Measured;
pub use find_lessons::FindLessons;
pub use record_feedback::RecordFeedback;

/// The archive's use cases over its ports.
pub struct App {
    store: Arc<dyn Store>,
    texts: Arc<dyn PublishedTexts>,
    clock: Arc<dyn Clock>,
    config: Config,
    metrics: Metrics,
    measured: Measured,
}

impl App {
    /// The use cases over these ports.
    pub fn new(
        store: Arc<dyn Store>,
        texts: Arc<dyn PublishedTexts>,
        clock: Arc<dyn Clock>,
        config: Config,
        metrics: Metrics,
    ) -> Self {
        let measured = Measured::new(u64::from(config.metrics_cache_entries));
        Self { store, texts, clock, config, metrics, measured }
    }
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A wish for a page: how many items, and behind which one to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Items on the page, 1 or more.
    pub size: u32,
    /// Behind which item to begin; `None` for the newest.
    pub after: Option<Cursor>,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Behind which item the next page begins; `None` on the last page.
    pub next: Option<Cursor>,
}

impl PageRequest {
    /// One row more than the page holds, to know whether there is a next one.
    fn rows(&self) -> Page {
        Page { rows: self.size.saturating_add(1), after: self.after.clone() }
    }

    fn listed<T>(&self, mut items: Vec<T>, cursor: impl Fn(&T) -> Cursor) -> Listed<T> {
        let size = self.size as usize;
        let more = items.len() > size;
        items.truncate(size);
        let next = if more { items.last().map(cursor) } else { None };
        Listed { items, next }
    }
}
