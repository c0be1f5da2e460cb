//! What the network providers share: one way to make a client, to send, to read, and to name what went wrong.
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use copydesk_types::Secret;
use futures_util::StreamExt;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Request, Response, Url};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{BuildError, PieceStream, ProviderError};
use crate::config::ProviderConfig;
use crate::domain::Outcome;

mod failure;
mod feed;
mod wait;

pub use failure::{bad_shape, cut, malformed, of_event};
pub use feed::Decode;

/// The most of one unary reply that is read, in bytes.
pub const REPLY_LIMIT: usize = 16 << 20;

/// The longest wait for a connection, so that a dead host leaves time for the next one.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// The most of a provider's sentence that is passed on, in characters.
const LONGEST_MESSAGE: usize = 300;

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
    base: Url,
    headers: HeaderMap,
    veil: Veil,
}

impl Endpoint {
    /// The provider at `default_base`, unless it is configured elsewhere.
    pub fn build(config: &ProviderConfig, default_base: &str) -> Result<Self, BuildError> {
        let fault = |detail: &str, source| BuildError {
            name: config.name.clone(),
            detail: detail.to_owned(),
            source,
        };
        let base = config.base_url.as_deref().unwrap_or(default_base);
        let url = Url::parse(base).ok().filter(|url| !url.cannot_be_a_base());
        let url = url.ok_or_else(|| fault("base_url is not an address", None))?;
        let client = client(base).map_err(|e| fault("no HTTP client", Some(e)))?;
        Ok(Self { client, base: url, headers: HeaderMap::new(), veil: Veil::default() })
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
        self.veil = Veil(config.api_key.clone());
        Ok(self)
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    /// The address of `path`, which begins with a slash, under the base.
    pub fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&join(self.base.path(), path));
        url
    }

    /// Sends a JSON body and reads the whole reply with `read_reply`.
    pub async fn ask<T>(
        &self,
        url: &Url,
        body: Vec<u8>,
        read_reply: impl FnOnce(&[u8]) -> Result<T, ProviderError> + Send,
    ) -> Result<T, ProviderError> {
        let answer = async {
            let reply = self.send(Method::POST, url, Some(body)).await?;
            let status = reply.status().as_u16();
            let bytes = read(reply, REPLY_LIMIT).await.map_err(|error| error.with_status(status))?;
            read_reply(&bytes).map_err(|error| error.with_status(status))
        };
        answer.await.map_err(|error| self.veil.over(error))
    }

    /// Sends a JSON body and gives the pieces of the reply as `decoder` finds them.
    pub async fn stream(
        &self,
        url: &Url,
        body: Vec<u8>,
        decoder: impl Decode,
    ) -> Result<PieceStream, ProviderError> {
        let reply = self.send(Method::POST, url, Some(body)).await.map_err(|error| self.veil.over(error))?;
        Ok(feed::pieces(reply, decoder, self.veil.clone()))
    }

    /// Whether `url` answers a GET with a success, of whatever content.
    pub async fn check(&self, url: &Url) -> Result<(), ProviderError> {
        let reply = self.call(Method::GET, url, None).await;
        reply.map(drop).map_err(|error| self.veil.over(error))
    }

    async fn send(
        &self,
        method: Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<Response, ProviderError> {
        let reply = self.call(method, url, body).await?;
        failure::check_kind(&reply).map_err(|error| error.with_status(reply.status().as_u16()))?;
        Ok(reply)
    }

    async fn call(
        &self,
        method: Method,
        url: &Url,
        body: Option<Vec<u8>>,
    ) -> Result<Response, ProviderError> {
        let mut request = Request::new(method, url.clone());
        request.headers_mut().clone_from(&self.headers);
        if let Some(body) = body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = Some(body.into());
        }
        let reply = self.client.execute(request).await.map_err(failure::unsent)?;
        if reply.status().is_success() { Ok(reply) } else { Err(failure::of_status(reply).await) }
    }
}

/// Hides the key in what a provider says, and shortens it: some quote the key back.
#[derive(Debug, Clone, Default)]
struct Veil(Option<Secret>);

impl Veil {
    fn over(&self, mut error: ProviderError) -> ProviderError {
        error.message = error.message.map(|message| self.sentence(&message)).filter(|text| !text.is_empty());
        error
    }

    fn sentence(&self, message: &str) -> String {
        let visible = |c: char| match c {
            '\n' | '\r' | '\t' => Some(' '),
            c => (!c.is_control()).then_some(c),
        };
        let mut text: String = message.chars().filter_map(visible).collect();
        if let Some(key) = self.0.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) {
            text = text.replace(key, "***");
        }
        text.trim().chars().take(LONGEST_MESSAGE).collect()
    }
}

/// A member of a request's body that the caller's own fields join instead of replacing it.
#[derive(Debug, Clone, Copy)]
pub struct Nested {
    /// Its name.
    pub field: &'static str,
    /// The name in it of the limit of output tokens, which is the router's to set.
    pub limit: &'static str,
}

/// A request's body in JSON, the caller's fields laid over it.
pub fn encode(
    body: &impl Serialize,
    extra: &Map<String, Value>,
    nested: Option<Nested>,
) -> Result<Vec<u8>, ProviderError> {
    let unwritable = |error: serde_json::Error| {
        ProviderError::new(Outcome::ProviderError, "the request cannot be written")
            .with_source(failure::JsonFault::from(error))
    };
    if extra.is_empty() {
        return serde_json::to_vec(body).map_err(unwritable);
    }
    let mut written = serde_json::to_value(body).map_err(unwritable)?;
    if let Value::Object(fields) = &mut written {
        for (name, value) in extra {
            let nested = nested.filter(|nested| nested.field == name);
            match (nested, fields.get_mut(name), value) {
                (Some(nested), Some(Value::Object(ours)), Value::Object(theirs)) => {
                    let theirs = theirs.iter().filter(|(name, _)| *name != nested.limit);
                    ours.extend(theirs.map(|(name, value)| (name.clone(), value.clone())));
                }
                _ => {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
    }
    serde_json::to_vec(&written).map_err(unwritable)
}

/// An address and a path, with one slash between.
pub fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

/// The whole body, if it has at most `limit` bytes. One that arrives in one piece is not copied.
pub async fn read(reply: Response, limit: usize) -> Result<Bytes, ProviderError> {
    let too_long = || ProviderError::new(Outcome::BadReply, "the reply is too long");
    let announced = usize::try_from(reply.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_long());
    }
    let mut chunks = reply.bytes_stream();
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|e| {
            ProviderError::new(Outcome::BadReply, "the reply broke off").with_source(e.without_url())
        })?;
        if first.len() + body.len() + chunk.len() > limit {
            return Err(too_long());
        }
        if first.is_empty() && body.is_empty() {
            first = chunk;
            continue;
        }
        if body.is_empty() {
            body.reserve(announced.max(first.len() + chunk.len()));
            body.extend_from_slice(&std::mem::take(&mut first));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(if body.is_empty() { first } else { body.freeze() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_join_with_one_slash() {
        assert_eq!(join("http://a/v1/", "/chat"), "http://a/v1/chat");
        assert_eq!(join("http://a/v1", "/chat"), "http://a/v1/chat");
    }

    #[test]
    fn an_address_keeps_its_query() {
        let config = ProviderConfig {
            base_url: Some("http://127.0.0.1:9/v1/?api-version=3".into()),
            ..ProviderConfig::default()
        };
        let endpoint = Endpoint::build(&config, "http://unused").unwrap();
        assert_eq!(endpoint.at("/chat").as_str(), "http://127.0.0.1:9/v1/chat?api-version=3");
        assert_eq!(endpoint.host(), "127.0.0.1");
    }

    #[test]
    fn a_sentence_is_short_and_hides_the_key() {
        let veil = Veil(Some(Secret::new("k-123")));
        assert_eq!(veil.sentence(" no\nkey\u{7}: k-123, k-123 "), "no key: ***, ***");
        assert_eq!(veil.sentence(&"é".repeat(400)).chars().count(), 300);
        // The key goes before the cut, or a part of it would stay at the edge.
        assert!(!veil.sentence(&format!("{}k-123", "a".repeat(297))).contains('k'));
    }

    #[test]
    fn the_callers_fields_win_and_join_the_nested_ones() {
        let body = json!({"a": 1, "options": {"x": 1, "limit": 5}});
        let extra = json!({"a": 2, "b": null, "options": {"x": 2, "y": 3, "limit": 900}});
        let Value::Object(extra) = extra else { panic!("an object") };
        let nested = Nested { field: "options", limit: "limit" };
        let read = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
        let joined = read(encode(&body, &extra, Some(nested)).unwrap());
        assert_eq!(joined, json!({"a": 2, "b": null, "options": {"x": 2, "y": 3, "limit": 5}}));
        let replaced = read(encode(&body, &extra, None).unwrap());
        assert_eq!(replaced["options"], extra["options"]);
    }
}
