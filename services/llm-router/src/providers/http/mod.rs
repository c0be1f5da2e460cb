//! What the network providers share: one way to make a client, to send, to read, and to name what went wrong.
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use copydesk_types::Secret;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::Full;
use url::Url;

use super::{BuildError, PieceStream, ProviderError};
use crate::config::ProviderConfig;

mod body;
mod client;
mod failure;
mod feed;
mod said;
mod veil;
mod wait;

pub use body::{Nested, REPLY_LIMIT, encode, read};
pub use client::{Client, Reply};
pub use failure::{bad_shape, cut, malformed, of_event};
pub use feed::Decode;
use veil::Veil;

/// An address and the way to speak to it.
#[derive(Clone)]
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
        let client = Client::new(base).map_err(|e| fault("no HTTP client", Some(e)))?;
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("copydesk/", env!("CARGO_PKG_VERSION"))));
        headers.extend(basic(&url).map(|value| (AUTHORIZATION, value)));
        Ok(Self { client, base: url, headers, veil: Veil::default() })
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

    async fn send(&self, method: Method, url: &Url, body: Option<Vec<u8>>) -> Result<Reply, ProviderError> {
        let reply = self.call(method, url, body).await?;
        failure::check_kind(&reply).map_err(|error| error.with_status(reply.status().as_u16()))?;
        Ok(reply)
    }

    async fn call(&self, method: Method, url: &Url, body: Option<Vec<u8>>) -> Result<Reply, ProviderError> {
        let uri = Uri::try_from(url.as_str()).map_err(failure::unaddressable)?;
        let has_body = body.is_some();
        let mut request = Request::new(Full::from(Bytes::from(body.unwrap_or_default())));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.headers);
        if has_body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let reply = self.client.send(request).await.map_err(failure::unsent)?;
        if reply.status().is_success() { Ok(reply) } else { Err(failure::of_status(reply).await) }
    }
}

/// Name and password that stand in an address, as a header.
fn basic(url: &Url) -> Option<HeaderValue> {
    let (name, password) = (url.username(), url.password());
    if name.is_empty() && password.is_none() {
        return None;
    }
    let mut pair = percent(name);
    pair.push(b':');
    pair.extend(percent(password.unwrap_or_default()));
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The bytes that a part of an address stands for.
fn percent(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let coded =
            rest.get(1..3).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = coded.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if byte.is_some() { &rest[3..] } else { after };
        bytes.push(byte.unwrap_or(*first));
    }
    bytes
}

/// An address and a path, with one slash between.
pub fn join(base: &str, path: &str) -> String {
    format!("{}{path}", base.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_join_with_one_slash() {
        assert_eq!(join("http://a/v1/", "/chat"), "http://a/v1/chat");
        assert_eq!(join("http://a/v1", "/chat"), "http://a/v1/chat");
    }

    #[test]
    fn name_and_password_of_an_address_become_a_header() {
        let header =
            |url: &str| basic(&Url::parse(url).unwrap()).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(header("http://127.0.0.1:9/v1"), None);
        assert_eq!(header("http://me:p%40ss@127.0.0.1:9").as_deref(), Some("Basic bWU6cEBzcw=="));
        assert_eq!(header("http://me@127.0.0.1:9").as_deref(), Some("Basic bWU6"));
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
}
