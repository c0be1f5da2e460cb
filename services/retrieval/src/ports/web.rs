//! What the desk needs of the web.

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::source::Format;
use crate::domain::web::WebError;

/// Looks names up. Nothing of what it finds is trusted.
#[async_trait]
pub trait Resolver: Send + Sync {
    /// The addresses of a name; none when there is no such name.
    async fn resolve(&self, host: &str) -> std::io::Result<Vec<IpAddr>>;
}

/// A page as it was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where it was at last.
    pub url: String,
    /// The URLs that led there, the first one asked for.
    pub redirects: Vec<String>,
    /// Its media type, in small letters; empty when the site named none.
    pub media_type: String,
    /// How it is read.
    pub format: Format,
    /// Its bytes as the site sent them, unpacked.
    pub body: Bytes,
    /// The same as its reader takes them.
    pub readable: Bytes,
}

/// The web's pages, asked for as a crawler does.
#[async_trait]
pub trait Pages: Send + Sync {
    /// Fetches a page: redirects followed, robots.txt heeded, everything checked on the way.
    async fn page(&self, url: &str) -> Result<Page, WebError>;
}

/// What a search is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebTopic {
    /// Anything.
    General,
    /// News.
    News,
    /// Finance.
    Finance,
}

/// How old results may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebTimeRange {
    /// A day.
    Day,
    /// A week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

/// A question to the web.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebQuery {
    /// What is asked.
    pub query: String,
    /// Most results.
    pub max_results: u32,
    /// Only from these domains; empty for all.
    pub include_domains: Vec<String>,
    /// Never from these.
    pub exclude_domains: Vec<String>,
    /// How old results may be; `None` for any age.
    pub time_range: Option<WebTimeRange>,
    /// What it is about.
    pub topic: WebTopic,
}

/// A result in the provider's words.
#[derive(Debug, Clone, PartialEq)]
pub struct WebResult {
    /// The page's title.
    pub title: String,
    /// Its URL.
    pub url: String,
    /// What answers the query.
    pub content: String,
    /// From 0 to 1.
    pub score: f64,
    /// When it was published, in milliseconds since 1970.
    pub published: Option<i64>,
}

/// A provider gave no results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// It refuses the key or the request: the operator looks.
    #[error("the search provider refuses: {0}")]
    Refused(String),
    /// Its limit is reached; wait for so many seconds, if it says so.
    #[error("the search provider's limit is reached")]
    Limited(Option<u64>),
    /// It cannot be reached, or fails.
    #[error("the search provider is unavailable: {0}")]
    Unavailable(String),
}

/// A search provider.
#[async_trait]
pub trait WebSearcher: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Asks it.
    async fn search(&self, query: &WebQuery) -> Result<Vec<WebResult>, SearchError>;
}
