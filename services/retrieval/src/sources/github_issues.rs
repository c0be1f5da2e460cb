//! Issues of a repository by GitHub's REST API, version 2022-11-28: pages by their `Link` headers, waiting as
//! `Retry-After` and `X-RateLimit-Reset` say, and nothing at all when an ETag says that nothing has changed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use futures_util::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{At, Entry, Source, Tools, reason, spec};
use crate::adapters::{Answer, Ask, Client};
use crate::domain::issue::{Comment, Issue};
use crate::domain::origin::{Miss, SourceDocument, Step};
use crate::domain::web::target::Target;
use crate::domain::web::{WebError, WebFault};

/// This source.
pub const ENTRY: Entry = Entry {
    kind: "github_issues",
    summary: "issues of a repository by GitHub's REST API",
    source: Some(&GithubIssues),
};

/// Issues of one step. A step is lost with the process, so not as many as the API would give.
const STEP: u32 = 50;
/// Issues whose comments are asked for at once.
const AT_ONCE: usize = 4;
/// Comments of one issue that are kept.
const COMMENTS: usize = 1_000;
/// Bytes of one answer.
const LARGEST: u64 = 32 * 1024 * 1024;
/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Redirects of a renamed repository that are followed.
const REDIRECTS: u32 = 3;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// `owner/name`.
    pub repository: String,
    /// With comments.
    pub comments: bool,
    /// With pull requests.
    pub pull_requests: bool,
}

struct GithubIssues;

/// The API as it is configured.
struct Api {
    client: Client,
    base: Target,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// An answer that is read.
struct Read {
    body: bytes::Bytes,
    next: Option<String>,
    etag: Option<String>,
}

#[async_trait]
impl Source for GithubIssues {
    async fn step(&self, tools: &Tools, at: At<'_>) -> Result<Step, Miss> {
        let spec: Spec = spec(&at)?;
        let api = Api::of(tools)?;
        let mut step = Step::default();
        let page = if at.cursor.is_empty() {
            match api.changed(&spec.repository, at.mark).await? {
                None => return Ok(Step { unchanged: true, ..Step::default() }),
                Some(mark) => step.mark = mark,
            }
            let list = "state=all&sort=created&direction=asc";
            api.url(&format!("repos/{}/issues?{list}&per_page={STEP}", spec.repository))?
        } else {
            api.own(at.cursor)?
        };
        let Some(read) = api.get(page, "").await? else { return Err(odd("an answer says not what it is")) };
        let issues: Vec<Issue> = listed(&read.body)?;
        let wanted = issues.into_iter().filter(|issue| spec.pull_requests || !issue.is_pull_request());
        let documents: Vec<_> = wanted.map(|issue| api.document(&spec, issue)).collect();
        let mut documents = futures_util::stream::iter(documents).buffered(AT_ONCE);
        while let Some(document) = documents.next().await {
            step.documents.push(document?);
        }
        step.next = read.next;
        Ok(step)
    }
}

impl Api {
    fn of(tools: &Tools) -> Result<Self, Miss> {
        let settings = &tools.config.sources.github;
        let base = Target::parse(&settings.base_url).map_err(|_| odd("its address is no URL"))?;
        let mut headers = vec![
            (ACCEPT, HeaderValue::from_static("application/vnd.github+json")),
            (HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28")),
        ];
        if let Some(token) = &settings.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose()));
            let mut value = value.map_err(|_| Miss::source(reason::REFUSED, "the token cannot be sent"))?;
            value.set_sensitive(true);
            headers.push((AUTHORIZATION, value));
        }
        Ok(Self { client: tools.client.for_base(&base), base, headers })
    }

    fn url(&self, path: &str) -> Result<Target, Miss> {
        let url = format!("{}/{path}", self.base.as_str().trim_end_matches('/'));
        Target::parse(&url).map_err(|error| odd(&format!("an address {}", error.message)))
    }

    /// An address that the API named: the token goes nowhere else.
    fn own(&self, url: &str) -> Result<Target, Miss> {
        let target = Target::parse(url).map_err(|error| odd(&format!("an address {}", error.message)))?;
        match target.origin() == self.base.origin() {
            true => Ok(target),
            false => Err(odd("it leads on to another host")),
        }
    }

    /// Whether anything has changed since the mark, and the new mark: the ETag of the issue that changed last.
    async fn changed(&self, repository: &str, mark: &str) -> Result<Option<Option<String>>, Miss> {
        let list = "state=all&sort=updated&direction=desc&per_page=1";
        let target = self.url(&format!("repos/{repository}/issues?{list}"))?;
        Ok(self.get(target, mark).await?.map(|read| read.etag))
    }

    async fn document(&self, spec: &Spec, issue: Issue) -> Result<SourceDocument, Miss> {
        if !(spec.comments && issue.has_comments_elsewhere()) {
            return Ok(issue.document(&spec.repository, None));
        }
        let path = format!("repos/{}/issues/{}/comments?per_page=100", spec.repository, issue.number);
        let (mut next, mut comments) = (Some(self.url(&path)?), Vec::<Comment>::new());
        while let Some(target) = next.take().filter(|_| comments.len() < COMMENTS) {
            let Some(read) = self.get(target, "").await? else { break };
            comments.extend(listed::<Comment>(&read.body)?);
            next = read.next.map(|url| self.own(&url)).transpose()?;
        }
        comments.truncate(COMMENTS);
        Ok(issue.document(&spec.repository, Some(&comments)))
    }

    /// Asks; `None` when nothing has changed since the mark.
    async fn get(&self, target: Target, mark: &str) -> Result<Option<Read>, Miss> {
        match tokio::time::timeout(LIMIT, self.follow(target, mark)).await {
            Ok(read) => read,
            Err(_) => Err(unavailable("an answer took too long")),
        }
    }

    async fn follow(&self, mut target: Target, mark: &str) -> Result<Option<Read>, Miss> {
        for _ in 0..=REDIRECTS {
            let mut headers = self.headers.clone();
            if let Ok(mark) = HeaderValue::from_str(mark)
                && !mark.is_empty()
            {
                headers.push((IF_NONE_MATCH, mark));
            }
            let ask = Ask { method: Method::GET, headers, body: bytes::Bytes::new() };
            let answer = self.client.send(&target, ask).await.map_err(|error| failed(&error))?;
            match answer.status {
                StatusCode::OK => return self.read(answer).await.map(Some),
                StatusCode::NOT_MODIFIED => return Ok(None),
                status if status.is_redirection() => {
                    let location = answer.header("location").unwrap_or_default();
                    let next = target.join(location).map_err(|_| odd("a redirect leads nowhere"))?;
                    target = self.own(next.as_str())?;
                }
                status => return Err(refused(status, &answer)),
            }
        }
        Err(odd("it leads on and on"))
    }

    async fn read(&self, answer: Answer) -> Result<Read, Miss> {
        let next = answer.header("link").and_then(next_page).map(str::to_owned);
        let next = next.map(|url| self.own(&url)).transpose()?.map(|target| target.as_str().to_owned());
        let etag = answer.header("etag").map(str::to_owned);
        let body = answer.bytes(LARGEST).await.map_err(|error| failed(&error))?;
        Ok(Read { body, next, etag })
    }
}

fn listed<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, Miss> {
    serde_json::from_slice(body).map_err(|_| odd("an answer is not what the API says"))
}

/// The URL of the next page in a `Link` header, RFC 8288.
fn next_page(link: &str) -> Option<&str> {
    link.split(',').find_map(|part| {
        let (url, parameters) = part.split_once(';')?;
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            name.trim() == "rel" && value.trim().trim_matches('"').split(' ').any(|word| word == "next")
        });
        is_next.then(|| url.trim().strip_prefix('<')?.strip_suffix('>')).flatten()
    })
}

/// An answer that is no success: a limit says when it ends, a failure may pass, the rest stays.
fn refused(status: StatusCode, answer: &Answer) -> Miss {
    let number = |name: &str| answer.header(name).and_then(|value| value.trim().parse::<u64>().ok());
    let limited = matches!(status.as_u16(), 403 | 429);
    if let Some(seconds) = number("retry-after").filter(|_| limited || status.is_server_error()) {
        return later(Duration::from_secs(seconds));
    }
    if limited && number("x-ratelimit-remaining") == Some(0) {
        let reset = Duration::from_secs(number("x-ratelimit-reset").unwrap_or_default());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // One more second, because the clocks differ.
        return later(reset.saturating_sub(now) + Duration::from_secs(1));
    }
    match status.as_u16() {
        429 => later(Duration::from_secs(60)),
        500.. => unavailable(&format!("it answers with status {}", status.as_u16())),
        401 => Miss::source(reason::REFUSED, "the token is refused (status 401)"),
        404 => Miss::source(reason::REFUSED, "there is no such repository, or it is not for us (status 404)"),
        410 => Miss::source(reason::REFUSED, "the repository has no issues (status 410)"),
        other => Miss::source(reason::REFUSED, format!("it answers with status {other}")),
    }
}

fn later(wait: Duration) -> Miss {
    let message = format!("its limit of requests is reached for {} seconds", wait.as_secs());
    Miss { again: Some(wait), ..Miss::source(reason::LIMITED, message) }
}

fn failed(error: &WebError) -> Miss {
    match error.fault {
        WebFault::Forbidden => Miss::source(reason::FORBIDDEN, error.message.clone()),
        WebFault::TooLarge => Miss::source(reason::TOO_LARGE, error.message.clone()),
        fault if fault.may_pass() => unavailable(&error.message),
        _ => odd(&error.message),
    }
}

fn unavailable(message: &str) -> Miss {
    Miss { again: Some(Duration::ZERO), ..Miss::source(reason::UNAVAILABLE, message) }
}

fn odd(message: &str) -> Miss {
    Miss::source(reason::ODD, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_name_the_next_page() {
        let link = r#"<https://a/x?page=1>; rel="prev", <https://a/x?page=3>; title="x"; rel="next", <https://a/x>; rel="last""#;
        assert_eq!(next_page(link), Some("https://a/x?page=3"));
        for without in ["", "<https://a>; rel=\"last\"", "https://a; rel=\"next\"", "<https://a>", ",;,"] {
            assert_eq!(next_page(without), None, "{without}");
        }
        assert_eq!(next_page("<b>; rel=next"), Some("b"));
    }
}
