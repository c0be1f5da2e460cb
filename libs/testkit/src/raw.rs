//! One level below a gRPC client: a call as HTTP/2 frames. A client library keeps the deadline itself and refuses to
//! send what is malformed; here the server must.
use std::time::Duration;

use anyhow::Context;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

const PATIENCE: Duration = Duration::from_secs(30);

/// How a call's request goes on after its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// The request ends.
    End,
    /// The request stays open: the client is not done, but says no more.
    Silence,
}

/// A message in its gRPC frame: not compressed, its length, its bytes.
pub fn frame(message: &[u8]) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.put_slice(message);
    framed.freeze()
}

/// Calls `package.Service/Method` at `host:port` with these headers and the bytes of `parts`, as they are, and returns
/// the status that the server sent.
///
/// # Errors
/// When there is no connection, or no status within half a minute.
pub async fn call(
    address: &str,
    method: &str,
    headers: &[(&str, &str)],
    parts: Vec<Bytes>,
    then: Then,
) -> anyhow::Result<Status> {
    tokio::time::timeout(PATIENCE, exchange(address, method, headers, parts, then))
        .await
        .context("no answer")?
}

async fn exchange(
    address: &str,
    method: &str,
    headers: &[(&str, &str)],
    parts: Vec<Bytes>,
    then: Then,
) -> anyhow::Result<Status> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let (mut sender, connection) = handshake;
    let connection = tokio::spawn(connection);
    let open = match then {
        Then::End => stream::empty().boxed(),
        Then::Silence => stream::pending().boxed(),
    };
    let frames =
        stream::iter(parts.into_iter().map(|part| Ok::<_, std::io::Error>(Frame::data(part)))).chain(open);
    let mut request = Request::post(format!("http://{address}/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = sender.send_request(request.body(StreamBody::new(frames))?).await?;
    let (head, body) = response.into_parts();
    let status = match Status::from_header_map(&head.headers) {
        Some(status) => status,
        None => {
            let trailers: HeaderMap = body.collect().await?.trailers().cloned().unwrap_or_default();
            Status::from_header_map(&trailers).unwrap_or_else(|| {
                Status::new(Code::Unknown, format!("HTTP {} without a status", head.status))
            })
        }
    };
    connection.abort();
    Ok(status)
}

/// Asks for a page over HTTP/1.1: its status line and body.
///
/// # Errors
/// When there is no connection or no answer within half a minute.
pub async fn get(address: &str, path: &str) -> anyhow::Result<(String, String)> {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, ask).await.context("no answer")??;
    let text = String::from_utf8(answer).context("the page is not UTF-8")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no end of its headers")?;
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}
