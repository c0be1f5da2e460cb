//! Who calls: bare HTTP to the upstream, or gRPC to what stands in front of it.
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use copydesk_proto::llm_router::v1 as pb;
use futures_util::StreamExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use pb::llm_service_client::LlmServiceClient;
use pb::stream_generate_response::Event;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::script::Script;

/// Somebody to call.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Where it listens.
    pub address: String,
    /// Whether it speaks HTTP rather than gRPC.
    pub is_direct: bool,
    /// What callers identify themselves with; empty: nothing.
    pub tokens: Vec<MetadataValue<Ascii>>,
    /// Whether each call has an id.
    pub with_id: bool,
}

/// One caller's way to a target.
pub enum Line {
    /// A connection of its own.
    Http(SendRequest<Full<Bytes>>),
    /// A connection that may be shared.
    Grpc { client: LlmServiceClient<Channel>, token: Option<MetadataValue<Ascii>>, with_id: bool },
}

impl Target {
    /// The ways of so many callers over so many connections.
    pub async fn lines(&self, callers: usize, connections: usize) -> anyhow::Result<Vec<Line>> {
        let mut lines = Vec::new();
        if self.is_direct {
            for _ in 0..callers {
                let socket = TcpStream::connect(&self.address).await?;
                socket.set_nodelay(true)?;
                let (sender, connection) = handshake(TokioIo::new(socket)).await?;
                tokio::spawn(connection);
                lines.push(Line::Http(sender));
            }
            return Ok(lines);
        }
        let mut channels = Vec::new();
        for _ in 0..connections {
            let endpoint = Endpoint::from_shared(format!("http://{}", self.address))?.tcp_nodelay(true);
            channels.push(endpoint.connect().await?);
        }
        for caller in 0..callers {
            let client = LlmServiceClient::new(channels[caller % connections].clone());
            let token = self.tokens.get(caller % self.tokens.len().max(1)).cloned();
            lines.push(Line::Grpc { client, token, with_id: self.with_id });
        }
        Ok(lines)
    }
}

/// What was heard of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// From the call to its first token.
    pub first: Duration,
    /// Tokens; not counted of a bare body.
    pub tokens: u64,
}

impl Line {
    /// One whole answer.
    pub async fn unary(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Http(sender) => {
                let body = post(sender, Script::AT_ONCE, false).await?.collect().await?.to_bytes();
                ensure!(body.ends_with(b"}"), "cut");
            }
            Self::Grpc { client, token, with_id } => {
                let mut request = ask(Script::AT_ONCE);
                if *with_id {
                    request.request_id = next_id();
                }
                let answer = client.generate(named(request, token)).await?.into_inner();
                ensure!(answer.text.starts_with("Alerts"), "the answer is {answer:?}");
            }
        }
        Ok(())
    }

    /// One stream to its end.
    pub async fn stream(&mut self, script: Script) -> anyhow::Result<Heard> {
        let began = Instant::now();
        match self {
            Self::Http(sender) => {
                let mut body = post(sender, script, true).await?;
                let mut first = None;
                while let Some(frame) = body.frame().await {
                    frame?;
                    first.get_or_insert_with(|| began.elapsed());
                }
                Ok(Heard { first: first.context("nothing came")?, tokens: 0 })
            }
            Self::Grpc { client, token, .. } => {
                let request = pb::StreamGenerateRequest { request: Some(ask(script)) };
                let mut events = client.stream_generate(named(request, token)).await?.into_inner();
                let (mut first, mut tokens, mut done) = (None, 0, false);
                while let Some(event) = events.next().await {
                    match event?.event {
                        Some(Event::Delta(delta)) => {
                            first.get_or_insert_with(|| began.elapsed());
                            // Tokens that arrive together may be given together.
                            tokens += delta.text.matches(" token").count() as u64;
                        }
                        Some(Event::Done(_)) => done = true,
                        other => bail!("{other:?} was not asked for"),
                    }
                }
                ensure!(done && tokens == script.tokens, "{tokens} tokens, ended: {done}");
                Ok(Heard { first: first.context("nothing came")?, tokens })
            }
        }
    }
}

async fn post(
    sender: &mut SendRequest<Full<Bytes>>,
    script: Script,
    stream: bool,
) -> anyhow::Result<Incoming> {
    let content = script.to_string();
    let body = serde_json::json!({
        "model": "m", "messages": [{"role": "user", "content": content}], "max_tokens": 256, "stream": stream
    });
    let request = http::Request::post("/v1/chat/completions")
        .header("host", "upstream")
        .header("content-type", "application/json")
        .body(Full::from(body.to_string()))?;
    sender.ready().await?;
    Ok(sender.send_request(request).await?.into_body())
}

fn ask(script: Script) -> pb::GenerateRequest {
    let message = pb::Message { role: pb::Role::User.into(), text: script.to_string(), parts: Vec::new() };
    pb::GenerateRequest {
        messages: vec![message],
        max_output_tokens: Some(256),
        ..pb::GenerateRequest::default()
    }
}

fn named<T>(request: T, token: &Option<MetadataValue<Ascii>>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(request);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", token.clone());
    }
    request
}

fn next_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("bench-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
