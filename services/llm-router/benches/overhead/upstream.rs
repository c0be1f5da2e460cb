//! A provider that speaks OpenAI's chat completions and does what the prompt's script says.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, sleep_until};

use crate::script::Script;

/// A whole answer, 270 bytes or so.
const WHOLE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Alerts per shift fell from 23 to 3.4."},"finish_reason":"stop"}],"usage":{"prompt_tokens":42,"completion_tokens":12,"total_tokens":54}}"#;
const TOKEN: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n";
const END: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1750000000,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":42,\"completion_tokens\":50,\"total_tokens\":92}}\n\ndata: [DONE]\n\n";

type Body = BoxBody<Bytes, Infallible>;

/// Serves for ever.
pub async fn serve(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(async move {
            let service = service_fn(answer);
            // A client that goes away is no fault of the upstream.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

async fn answer(request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
    let body = request.into_body().collect().await?.to_bytes();
    let script = Script::find(&body).unwrap_or(Script::AT_ONCE);
    let (kind, body) = if script.tokens > 0 {
        ("text/event-stream", tokens(script))
    } else {
        if script.first_ms > 0 {
            sleep(Duration::from_millis(script.first_ms)).await;
        }
        ("application/json", Full::new(Bytes::from_static(WHOLE.as_bytes())).boxed())
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// One frame for each token, and one for the end.
fn tokens(script: Script) -> Body {
    let first = Instant::now() + Duration::from_millis(script.first_ms);
    let frames = stream::unfold(0, move |token| async move {
        if token > script.tokens {
            return None;
        }
        if script.first_ms + script.gap_ms > 0 && token < script.tokens {
            sleep_until(first + script.gap(token)).await;
        }
        let text = if token == script.tokens { END } else { TOKEN };
        Some((Ok(Frame::data(Bytes::from_static(text.as_bytes()))), token + 1))
    });
    BodyExt::boxed(StreamBody::new(frames))
}
