//! Tavily: `POST {base}/search` with a bearer key, as its API reference has it.

use std::sync::Arc;

use async_trait::async_trait;
use copydesk_types::Secret;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Connection, Searcher};
use crate::adapters::{Answer, Ask};
use crate::domain::moment::Moment;
use crate::domain::web::target::Target;
use crate::domain::web::{WebError, WebFault};
use crate::ports::{SearchError, WebQuery, WebResult, WebSearcher, WebTimeRange, WebTopic};

/// This provider.
pub const ENTRY: Searcher = Searcher {
    kind: "tavily",
    summary: "Tavily's search API",
    base_url: "https://api.tavily.com",
    build: |connection| Arc::new(Tavily(connection)),
};

/// Most bytes of an answer.
const LARGEST: u64 = 4 * 1024 * 1024;
/// Most characters of the provider's own words in an error.
const SHOWN: usize = 300;
/// Its limits of a plan and of pay-as-you-go, beside 429 for the rate.
const LIMITS: [u16; 3] = [429, 432, 433];

struct Tavily(Connection);

#[derive(Serialize)]
struct Body<'a> {
    query: &'a str,
    topic: &'static str,
    search_depth: &'static str,
    max_results: u32,
    include_answer: bool,
    include_raw_content: bool,
    include_images: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    time_range: Option<&'static str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    include_domains: &'a [String],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exclude_domains: &'a [String],
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    results: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    title: Option<String>,
    url: String,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    score: Option<f64>,
    #[serde(default)]
    published_date: Option<String>,
}

#[async_trait]
impl WebSearcher for Tavily {
    fn name(&self) -> &'static str {
        ENTRY.kind
    }

    async fn search(&self, query: &WebQuery) -> Result<Vec<WebResult>, SearchError> {
        let asking = self.ask(query);
        let bytes = tokio::time::timeout(self.0.limit, asking).await;
        let bytes = bytes.map_err(|_| SearchError::Unavailable("it took too long".into()))??;
        let found: Found = serde_json::from_slice(&bytes)
            .map_err(|_| SearchError::Unavailable("its answer is not what its API says".into()))?;
        let results = found.results.into_iter().filter_map(result);
        Ok(results.take(query.max_results as usize).collect())
    }
}

impl Tavily {
    async fn ask(&self, query: &WebQuery) -> Result<bytes::Bytes, SearchError> {
        let path = format!("{}/search", self.0.base.as_str().trim_end_matches('/'));
        let target = Target::parse(&path).map_err(unavailable)?;
        let body =
            serde_json::to_vec(&body(query)).map_err(|error| SearchError::Refused(error.to_string()))?;
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (ACCEPT, HeaderValue::from_static("application/json")),
            (AUTHORIZATION, bearer(&self.0.key)?),
        ];
        let ask = Ask { method: Method::POST, headers, body: body.into() };
        let answer = self.0.client.send(&target, ask).await.map_err(unavailable)?;
        match answer.status {
            StatusCode::OK => answer.bytes(LARGEST).await.map_err(unavailable),
            status if LIMITS.contains(&status.as_u16()) => {
                let seconds = answer.header(RETRY_AFTER.as_str()).and_then(|after| after.parse().ok());
                Err(SearchError::Limited(seconds))
            }
            status if status.is_client_error() => Err(SearchError::Refused(words(answer).await)),
            status => Err(SearchError::Unavailable(format!("it answers with status {}", status.as_u16()))),
        }
    }
}

fn body(query: &WebQuery) -> Body<'_> {
    Body {
        query: &query.query,
        topic: match query.topic {
            WebTopic::General => "general",
            WebTopic::News => "news",
            WebTopic::Finance => "finance",
        },
        search_depth: "basic",
        max_results: query.max_results,
        include_answer: false,
        include_raw_content: false,
        include_images: false,
        time_range: query.time_range.map(|range| match range {
            WebTimeRange::Day => "day",
            WebTimeRange::Week => "week",
            WebTimeRange::Month => "month",
            WebTimeRange::Year => "year",
        }),
        include_domains: &query.include_domains,
        exclude_domains: &query.exclude_domains,
    }
}

fn bearer(key: &Secret) -> Result<HeaderValue, SearchError> {
    let value = HeaderValue::from_str(&format!("Bearer {}", key.expose()));
    let mut value = value.map_err(|_| SearchError::Refused("the key cannot be sent".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A result whose URL can be followed.
fn result(one: One) -> Option<WebResult> {
    let url = Target::parse(&one.url).ok()?.as_str().to_owned();
    let score = one.score.filter(|score| score.is_finite()).unwrap_or_default().clamp(0.0, 1.0);
    let published = one.published_date.and_then(|date| published(&date));
    let (title, content) = (one.title.unwrap_or_default(), one.content.unwrap_or_default());
    Some(WebResult { title, url, content, score, published })
}

/// `Tue, 11 Nov 2025 10:00:00 GMT`, or as RFC 3339 has it.
fn published(date: &str) -> Option<i64> {
    if let Ok(time) = httpdate::parse_http_date(date) {
        let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
        return i64::try_from(since.as_millis()).ok();
    }
    let whole = if date.len() == 10 { format!("{date}T00:00:00Z") } else { date.to_owned() };
    Moment::parse(&whole).map(Moment::millis)
}

/// What it says of its refusal, `{"detail": {"error": "…"}}`.
async fn words(answer: Answer) -> String {
    let status = answer.status.as_u16();
    let body = answer.head(16 * 1024).await.unwrap_or_default();
    let said = serde_json::from_slice::<Value>(&body).ok();
    let said = said.as_ref().and_then(|said| {
        let detail = &said["detail"];
        detail["error"].as_str().or(detail.as_str()).map(|text| text.chars().take(SHOWN).collect::<String>())
    });
    said.map_or_else(|| format!("status {status}"), |said| format!("status {status}: {said}"))
}

fn unavailable(error: WebError) -> SearchError {
    match error.fault {
        WebFault::Forbidden | WebFault::Url => SearchError::Refused(error.message),
        _ => SearchError::Unavailable(error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_as_it_writes_them() {
        assert_eq!(published("Thu, 01 Jan 1970 00:00:02 GMT"), Some(2_000));
        assert_eq!(published("1970-01-02"), Some(86_400_000));
        assert_eq!((published("yesterday"), published("")), (None, None));
    }
}
