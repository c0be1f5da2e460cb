//! Pages, as a crawler asks for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, LOCATION};
use moka::sync::Cache;

use super::client::{Answer, Ask, Client};
use crate::config::Web;
use crate::domain::web::robots::{self, Robots};
use crate::domain::web::target::Target;
use crate::domain::web::{WebError, WebFault, media};
use crate::ports::{Page, Pages};

/// The name by which robots.txt speaks of us.
const CRAWLER: &str = "copydesk";
/// Redirects of a robots.txt that are followed, RFC 9309 section 2.3.1.2.
const ROBOTS_REDIRECTS: u32 = 5;
/// How long a site whose robots.txt could not be had is left alone.
const UNKNOWN: Duration = Duration::from_secs(60);
/// Sites whose robots.txt is remembered.
const REMEMBERED: u64 = 4_096;
const ACCEPT: &str =
    "text/html,application/xhtml+xml,text/markdown,text/plain;q=0.9,application/pdf;q=0.8,*/*;q=0.1";

/// The web's pages.
pub struct WebPages {
    client: Client,
    max_redirects: u32,
    max_bytes: u64,
    limit: Duration,
    robots: Option<Cache<String, Remembered>>,
    memory: Duration,
}

/// A site's rules, and until when they count.
#[derive(Clone)]
struct Remembered {
    rules: Arc<Robots>,
    until: Instant,
}

impl WebPages {
    /// Over a client, with the limits of validated settings.
    pub fn new(client: Client, settings: &Web) -> Self {
        Self {
            client,
            max_redirects: settings.max_redirects,
            max_bytes: settings.max_bytes,
            limit: Duration::from_secs(settings.timeout_seconds),
            robots: settings.respect_robots.then(|| Cache::new(REMEMBERED)),
            memory: Duration::from_secs(settings.robots_cache_seconds),
        }
    }

    async fn follow(&self, url: &str) -> Result<Page, WebError> {
        let (mut target, mut redirects) = (Target::parse(url)?, Vec::new());
        loop {
            self.may_ask(&target).await?;
            let answer = self.client.send(&target, Ask::get(ACCEPT)).await?;
            match next(&target, &answer)? {
                None => return self.taken(&target, redirects, answer).await,
                Some(_) if redirects.len() >= self.max_redirects as usize => {
                    let message = format!("more than {} redirects", self.max_redirects);
                    return Err(WebError::new(WebFault::Redirects, message));
                }
                Some(next) => {
                    redirects.push(target.as_str().to_owned());
                    target = next;
                }
            }
        }
    }

    async fn taken(&self, target: &Target, redirects: Vec<String>, answer: Answer) -> Result<Page, WebError> {
        if !answer.status.is_success() {
            return Err(WebError::status(answer.status.as_u16()));
        }
        let (media_type, encoding) =
            media::media_type(answer.header(CONTENT_TYPE.as_str()).unwrap_or_default());
        let Some(format) = media::format(&media_type) else {
            let shown: String = media_type.chars().take(80).collect();
            return Err(WebError::new(WebFault::ContentType, format!("pages of type {shown} are not taken")));
        };
        let body = answer.bytes(self.max_bytes).await?;
        let readable = match media::readable(format, &body, encoding) {
            std::borrow::Cow::Borrowed(_) => body.clone(),
            std::borrow::Cow::Owned(bytes) => bytes.into(),
        };
        Ok(Page { url: target.as_str().to_owned(), redirects, media_type, format, body, readable })
    }

    /// Whether the site's robots.txt lets us ask for this.
    async fn may_ask(&self, target: &Target) -> Result<(), WebError> {
        let Some(cache) = &self.robots else { return Ok(()) };
        let origin = target.origin();
        let known = cache.get(&origin).filter(|known| known.until > Instant::now());
        let rules = match known {
            Some(known) => known.rules,
            None => {
                let (rules, lasts) = self.read_robots(&origin).await?;
                let rules = Arc::new(rules);
                let until = Instant::now() + lasts;
                cache.insert(origin, Remembered { rules: Arc::clone(&rules), until });
                rules
            }
        };
        if rules.allows(target.path_and_query()) {
            return Ok(());
        }
        let message = match rules.is_unknown() {
            true => "the site's robots.txt cannot be had at the moment, so nothing there is asked for",
            false => "the site's robots.txt asks us not to fetch this",
        };
        Err(WebError::new(WebFault::Robots, message))
    }

    /// A site's rules and how long they count: 4xx means that there are none, 5xx that nothing may be asked (RFC 9309
    /// section 2.3.1). Who is not reached for its robots.txt is not asked for more.
    async fn read_robots(&self, origin: &str) -> Result<(Robots, Duration), WebError> {
        let mut target = Target::parse(&format!("{origin}/robots.txt"))?;
        for _ in 0..=ROBOTS_REDIRECTS {
            let answer = self.client.send(&target, Ask::get("text/plain,*/*;q=0.1")).await?;
            match next(&target, &answer) {
                Ok(Some(next)) => target = next,
                Err(_) => return Ok((Robots::nothing(), UNKNOWN)),
                Ok(None) if answer.status.is_success() => {
                    let file = answer.head(robots::LARGEST as u64).await?;
                    return Ok((Robots::parse(&file, CRAWLER), self.memory));
                }
                Ok(None) if answer.status.is_server_error() => return Ok((Robots::nothing(), UNKNOWN)),
                Ok(None) => return Ok((Robots::everything(), self.memory)),
            }
        }
        Ok((Robots::everything(), self.memory))
    }
}

/// Where an answer leads on to.
fn next(from: &Target, answer: &Answer) -> Result<Option<Target>, WebError> {
    if !matches!(answer.status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = answer.header(LOCATION.as_str());
    let location =
        location.ok_or_else(|| WebError::new(WebFault::Redirects, "a redirect says not where it leads"))?;
    let next = from.join(location);
    next.map(Some)
        .map_err(|error| WebError::new(WebFault::Redirects, format!("a redirect's URL {}", error.message)))
}

#[async_trait]
impl Pages for WebPages {
    async fn page(&self, url: &str) -> Result<Page, WebError> {
        match tokio::time::timeout(self.limit, self.follow(url)).await {
            Ok(page) => page,
            Err(_) => {
                let message = format!("took longer than {} seconds", self.limit.as_secs());
                Err(WebError::new(WebFault::Timeout, message))
            }
        }
    }
}
