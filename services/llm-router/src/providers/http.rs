//! What the network providers share: one way to make a client, to send, to read, and to name what went wrong.
use std::time::Duration;

use bytes::Bytes;
use copydesk_types::Secret;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::lines::LineError;
use super::{BuildError, Piece, PieceStream, ProviderError};
use crate::config::ProviderConfig;
use crate::domain::Outcome;

/// The most of one unary reply that is read, in bytes.
pub const REPLY_LIMIT: usize = 16 << 20;

/// The most of an error reply that is read, in bytes.
const ERROR_LIMIT: usize = 64 << 10;

/// The longest wait for a connection, so that a dead host leaves time for the next one.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The longest `Retry-After` that is believed.
const LONGEST_RETRY_AFTER: u64 = 3_600;

/// A client for the provider at `url`. It follows no redirects, because a key must not travel to another host, and
/// takes no proxy from the environment, because services read none.
pub fn client(url: &str) -> Result<Client, reqwest::Error> {
    // One TLS for the process: ring. A second call finds it installed, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = Client::builder()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_LIMIT)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("copydesk/", env!("CARGO_PKG_VERSION")));
    // Reading the machine's certificates takes longer than everything else at the start; without TLS nobody needs them.
    if url.starts_with("http://") { builder.tls_certs_only([]).build() } else { builder.build() }
}

/// An address and the way to speak to it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    client: Client,
    url: String,
    headers: HeaderMap,
}

impl Endpoint {
    /// The endpoint `path` of a provider, at `default_base` unless it is configured elsewhere.
    pub fn build(config: &ProviderConfig, default_base: &str, path: &str) -> Result<Self, BuildError> {
        let fault = |detail: &str, source| BuildError {
            name: config.name.clone(),
            detail: detail.to_owned(),
            source,
        };
        let url = join(config.base_url.as_deref().unwrap_or(default_base), path);
        let client = client(&url).map_err(|e| fault("no HTTP client", Some(e)))?;
        reqwest::Url::parse(&url).map_err(|_| fault("base_url is not an address", None))?;
        Ok(Self { client, url, headers: HeaderMap::new() })
    }

    /// Adds a header that is no secret.
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    /// Adds a secret header, `prefix` before the key; without a key, none.
    pub fn with_key(
        mut self,
        name: &'static str,
        prefix: &str,
        config: &ProviderConfig,
    ) -> Result<Self, BuildError> {
        let Some(key) = config.api_key.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) else {
            return Ok(self);
        };
        let mut value = HeaderValue::try_from(format!("{prefix}{key}")).map_err(|_| BuildError {
            name: config.name.clone(),
            detail: "api_key holds characters that no header takes".to_owned(),
            source: None,
        })?;
        value.set_sensitive(true);
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(self)
    }

    /// Sends a JSON body and waits for the head of a good reply.
    pub async fn post(&self, body: &Value) -> Result<Response, ProviderError> {
        let request = self.client.post(&self.url).headers(self.headers.clone()).json(body);
        let reply = request.send().await.map_err(|e| send_error(e.without_url()))?;
        if reply.status().is_success() { Ok(reply) } else { Err(status_error(reply).await) }
    }

    /// Sends a JSON body and reads a JSON reply.
    pub async fn exchange(&self, body: &Value) -> Result<Value, ProviderError> {
        let reply = read(self.post(body).await?, REPLY_LIMIT).await?;
        serde_json::from_slice(&reply)
            .map_err(|e| ProviderError::new(Outcome::BadReply, "the reply is not JSON").with_source(e))
    }
}

/// An address and a path, with one slash between.
pub fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// The whole body, if it has at most `limit` bytes.
pub async fn read(reply: Response, limit: usize) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    let mut chunks = reply.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| {
            ProviderError::new(Outcome::BadReply, "the reply broke off").with_source(e.without_url())
        })?;
        if body.len() + chunk.len() > limit {
            return Err(ProviderError::new(Outcome::BadReply, "the reply is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Turns the bytes of a streamed answer into pieces.
pub trait Decode: Send + 'static {
    /// Adds the pieces that these bytes complete; those before an error count.
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError>;

    /// Adds the pieces that the end of the body completes. The end must have come with [`Piece::Done`] before or now.
    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError>;
}

/// The pieces of a reply. After an error or the end there is nothing more.
pub fn pieces(reply: Response, decoder: impl Decode) -> PieceStream {
    let state = Feed { bytes: Some(reply.bytes_stream().boxed()), decoder };
    stream::unfold(state, |mut state| async move {
        let batch = state.next().await?;
        Some((stream::iter(batch), state))
    })
    .flatten()
    .boxed()
}

struct Feed<D> {
    bytes: Option<BoxStream<'static, Result<Bytes, reqwest::Error>>>,
    decoder: D,
}

impl<D: Decode> Feed<D> {
    async fn next(&mut self) -> Option<Vec<Result<Piece, ProviderError>>> {
        let bytes = self.bytes.as_mut()?;
        let mut found = Vec::new();
        let (result, over) = match bytes.next().await {
            Some(Ok(chunk)) => (self.decoder.decode(&chunk, &mut found), false),
            Some(Err(e)) => (Err(broken("the stream broke off").with_source(e.without_url())), true),
            None => (self.decoder.end(&mut found), true),
        };
        let complete = found.iter().position(|piece| matches!(piece, Piece::Done { .. }));
        found.truncate(complete.map_or(found.len(), |at| at + 1));
        let mut batch: Vec<_> = found.into_iter().map(Ok).collect();
        let failure = match result {
            _ if complete.is_some() => None,
            Err(error) => Some(error),
            Ok(()) if over => Some(cut()),
            Ok(()) => return Some(batch),
        };
        batch.extend(failure.map(Err));
        // The end of the body is usually here already; taking it lets the connection be used again.
        let _ = bytes.next().now_or_never();
        self.bytes = None;
        Some(batch)
    }
}

fn broken(detail: &str) -> ProviderError {
    ProviderError::new(Outcome::StreamBroken, detail)
}

/// Bytes that make no lines of text.
pub fn bad_line(error: LineError) -> ProviderError {
    ProviderError::new(Outcome::BadReply, "the stream is not lines of text").with_source(error)
}

/// An event or a reply that is not what the protocol says.
pub fn bad_shape(error: serde_json::Error) -> ProviderError {
    ProviderError::new(Outcome::BadReply, "the reply has another shape").with_source(error)
}

/// A stream that says it is over without a reason: the answer was cut.
pub fn cut() -> ProviderError {
    broken("the stream ended without a finish reason")
}

fn send_error(error: reqwest::Error) -> ProviderError {
    let (outcome, detail) = match () {
        () if error.is_connect() => (Outcome::Unreachable, "no connection"),
        () if error.is_timeout() => (Outcome::Timeout, "no reply in time"),
        () => (Outcome::Unreachable, "the connection broke before a reply"),
    };
    ProviderError::new(outcome, detail).with_source(error)
}

/// What a status says. 400, 413 and 422 blame the request itself: no other model is asked to swallow it.
fn outcome_of(status: StatusCode) -> Outcome {
    match status.as_u16() {
        400 | 413 | 422 => Outcome::RefusedInput,
        401 | 403 => Outcome::Auth,
        408 | 504 => Outcome::Timeout,
        429 => Outcome::RateLimited,
        _ => Outcome::ProviderError,
    }
}

async fn status_error(reply: Response) -> ProviderError {
    let status = reply.status();
    let retry_after = retry_after(reply.headers());
    let body = read(reply, ERROR_LIMIT).await.unwrap_or_default();
    let word = serde_json::from_slice::<Value>(&body).ok().and_then(|body| error_word(&body));
    let detail = match word {
        Some(word) => format!("HTTP {} {word}", status.as_u16()),
        None => format!("HTTP {}", status.as_u16()),
    };
    ProviderError { retry_after, ..ProviderError::new(outcome_of(status), detail) }
}

/// The machine's word in an error object, such as `rate_limit_exceeded`. The sentence beside it may quote the prompt
/// or a part of the key, so it is not taken.
pub fn error_word(body: &Value) -> Option<String> {
    let error = body.get("error")?;
    let word = ["code", "type"].iter().find_map(|key| error.get(key).and_then(Value::as_str))?;
    let plain = word.len() <= 64 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    plain.then(|| word.to_owned())
}

/// An error that comes as an event of a stream.
pub fn event_error(body: &Value) -> ProviderError {
    let word = error_word(body).unwrap_or_else(|| "error event".to_owned());
    let outcome = match word.as_str() {
        w if w.contains("rate_limit") || w == "429" => Outcome::RateLimited,
        w if w.contains("authentication") || w.contains("permission") => Outcome::Auth,
        w if w.contains("timeout") => Outcome::Timeout,
        "invalid_request_error" | "request_too_large" => Outcome::RefusedInput,
        _ => Outcome::ProviderError,
    };
    ProviderError::new(outcome, word)
}

/// A reply whose parts are not where they belong.
pub fn malformed(what: &str) -> ProviderError {
    ProviderError::new(Outcome::BadReply, format!("the reply has no {what}"))
}

/// Seconds, or `retry-after-ms`; the form with a date is not used by the providers we know.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number("retry-after-ms").map(|ms| ms / 1_000.0).or_else(|| number("retry-after"))?;
    let seconds =
        if seconds.is_finite() { seconds.clamp(0.0, LONGEST_RETRY_AFTER as f64) } else { return None };
    Some(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_have_reasons() {
        for (status, outcome) in [
            (400, Outcome::RefusedInput),
            (401, Outcome::Auth),
            (404, Outcome::ProviderError),
            (429, Outcome::RateLimited),
            (500, Outcome::ProviderError),
            (504, Outcome::Timeout),
            (529, Outcome::ProviderError),
        ] {
            assert_eq!(outcome_of(StatusCode::from_u16(status).unwrap()), outcome, "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        for (value, expected) in [
            ("7", Some(7_000)),
            ("0.5", Some(500)),
            ("1e9", Some(3_600_000)),
            ("-3", Some(0)),
            ("soon", None),
            ("inf", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers).map(|d| d.as_millis()), expected, "{value}");
        }
    }

    #[test]
    fn only_plain_words_of_an_error_are_kept() {
        let words = |code: &str| error_word(&json!({"error": {"code": code, "message": "secret prompt"}}));
        assert_eq!(words("rate_limit_exceeded").as_deref(), Some("rate_limit_exceeded"));
        assert_eq!(words("the prompt: hello"), None);
        assert_eq!(error_word(&json!({"error": "text"})), None);
    }

    #[test]
    fn addresses_join_with_one_slash() {
        assert_eq!(join("http://a/v1/", "/chat"), "http://a/v1/chat");
        assert_eq!(join("http://a/v1", "/chat"), "http://a/v1/chat");
    }
}
