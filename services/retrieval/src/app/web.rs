//! The web for callers: searched, and page by page.

use std::num::NonZeroU32;
use std::time::Duration;

use copydesk_types::TenantId;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::Desk;
use crate::domain::reading::Reading;
use crate::domain::web::{WebError, WebFault};
use crate::error::Error;
use crate::parsers;
use crate::ports::{Page, WebQuery, WebResult};

/// Most bytes of a page's text that are given out: an answer must fit into a message.
const LARGEST_TEXT: usize = 3 * 1024 * 1024;
/// Tenants after which those that asked for nothing lately are forgotten.
const CROWD: usize = 10_000;

/// How often tenants may ask the web. The gateway's limits are for keys; calls of services do not meet them.
pub struct WebLimit {
    buckets: Option<DefaultKeyedRateLimiter<TenantId>>,
    clock: DefaultClock,
}

/// A page that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadPage {
    /// As it was fetched.
    pub page: Page,
    /// Its title; empty when it has none.
    pub title: String,
    /// Its text.
    pub text: String,
    /// Whether the text is Markdown.
    pub markdown: bool,
    /// Whether only the head of the text is here.
    pub truncated: bool,
    /// BLAKE3 of its bytes.
    pub hash: String,
    /// When it was fetched.
    pub time: i64,
}

impl WebLimit {
    /// So many calls of each tenant in a minute; 0: no limit.
    pub fn new(calls_per_minute: u32) -> Self {
        let buckets =
            NonZeroU32::new(calls_per_minute).map(|calls| RateLimiter::keyed(Quota::per_minute(calls)));
        Self { buckets, clock: DefaultClock::default() }
    }

    /// Takes one call of a tenant.
    ///
    /// # Errors
    /// `WebLimited` with the time to wait.
    pub fn take(&self, tenant: TenantId) -> Result<(), Error> {
        let Some(buckets) = &self.buckets else { return Ok(()) };
        if buckets.len() > CROWD {
            buckets.retain_recent();
        }
        let late = buckets.check_key(&tenant).map_err(|until| until.wait_time_from(self.clock.now()));
        late.map_err(|wait: Duration| Error::WebLimited(wait))
    }
}

impl Desk {
    /// Asks the search provider.
    ///
    /// # Errors
    /// `WebDisabled`, `NoWebSearch`, `WebLimited`, `WebSearch`.
    #[tracing::instrument(name = "retrieval.search_web", skip_all)]
    pub async fn search_web(
        &self,
        tenant: TenantId,
        query: &WebQuery,
    ) -> Result<(Vec<WebResult>, &'static str), Error> {
        if !self.config.web.enabled {
            return Err(Error::WebDisabled);
        }
        let searcher = self.searcher.as_deref().ok_or(Error::NoWebSearch)?;
        self.web_limit.take(tenant)?;
        let found = searcher.search(query).await;
        self.metrics.asked_web("search", if found.is_ok() { "ok" } else { "failed" });
        Ok((found.map_err(Error::WebSearch)?, searcher.name()))
    }

    /// Fetches a page and reads it.
    ///
    /// # Errors
    /// `WebDisabled`, `WebLimited`, `Web`.
    #[tracing::instrument(name = "retrieval.fetch_page", skip_all)]
    pub async fn fetch_page(&self, tenant: TenantId, url: &str) -> Result<ReadPage, Error> {
        if !self.config.web.enabled {
            return Err(Error::WebDisabled);
        }
        self.web_limit.take(tenant)?;
        let page = self.tools.pages.page(url).await;
        self.metrics.asked_web("page", page.as_ref().map_or_else(|error| error.fault.word(), |_| "ok"));
        let page = page?;
        let reading = self.read_page(&page).await?;
        let mut text = reading.text;
        let truncated = text.len() > LARGEST_TEXT;
        text.truncate(text.floor_char_boundary(LARGEST_TEXT));
        Ok(ReadPage {
            title: reading.title.unwrap_or_default(),
            text,
            markdown: reading.markdown,
            truncated,
            hash: blake3::hash(&page.body).to_hex().to_string(),
            time: self.clock.now(),
            page,
        })
    }

    async fn read_page(&self, page: &Page) -> Result<Reading, Error> {
        let (given, key, bytes) = (page.format, page.url.clone(), page.readable.clone());
        let chosen = tokio::task::spawn_blocking(move || parsers::choose(given, &key, &bytes)).await?;
        let unreadable = |message: String| WebError::new(WebFault::Unreadable, message);
        let choice = chosen.map_err(|failure| unreadable(failure.message))?;
        let limits = self.config.parsing.limits();
        let reading = self.reader.read(choice.format, page.readable.clone(), limits).await;
        Ok(reading.map_err(|failure| unreadable(failure.message))?)
    }
}
