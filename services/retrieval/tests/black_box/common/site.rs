//! A site on a real loopback socket that says exactly what a test writes, well-formed or not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    pub method: String,
    pub path: String,
    /// Names in small letters.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Heard {
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(own, _)| own == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is said to it.
pub enum Say {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes, then one more every so often, for ever.
    Drip(Vec<u8>, Duration),
    /// These bytes again and again, for ever, after a head.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing at all.
    Silence,
}

/// An answer of this status with headers (each a whole line) and body.
pub fn answer(status: u16, headers: &[&str], body: impl AsRef<[u8]>) -> Say {
    let body = body.as_ref();
    let mut all = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|line| all.push_str(&format!("{line}\r\n")));
    all.push_str("\r\n");
    Say::Bytes([all.as_bytes(), body].concat())
}

pub fn html(body: &str) -> Say {
    answer(200, &["content-type: text/html; charset=utf-8"], body)
}

pub fn redirect(status: u16, to: &str) -> Say {
    answer(status, &[&format!("location: {to}")], "")
}

pub fn json(body: &serde_json::Value) -> Say {
    answer(200, &["content-type: application/json"], body.to_string())
}

type Script = dyn Fn(&Heard) -> Say + Send + Sync;

/// A running site; it ends with the test.
pub struct Site {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
    _task: tokio_util::task::AbortOnDropHandle<()>,
}

impl Site {
    pub async fn start(script: impl Fn(&Heard) -> Say + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let (script, ears): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&heard));
        let task = tokio::spawn(async move {
            let mut calls = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (script, ears) = (Arc::clone(&script), Arc::clone(&ears));
                calls.spawn(async move { serve(stream, &*script, &ears).await });
            }
        });
        Self { address, heard, _task: tokio_util::task::AbortOnDropHandle::new(task) }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same by a name.
    pub fn url_as(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.address.port())
    }

    /// Everything that was asked, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Counts what was asked so far, robots.txt left out, from wherever it is called.
    pub fn counter(&self) -> impl Fn() -> usize + Send + 'static {
        let heard = Arc::clone(&self.heard);
        move || heard.lock().unwrap().iter().filter(|heard| heard.path != "/robots.txt").count()
    }

    /// The paths that were asked, in order, robots.txt left out.
    pub fn paths(&self) -> Vec<String> {
        self.heard().into_iter().map(|heard| heard.path).filter(|path| path != "/robots.txt").collect()
    }
}

async fn serve(mut stream: TcpStream, script: &Script, ears: &Mutex<Vec<Heard>>) {
    let Some(heard) = hear(&mut stream).await else { return };
    ears.lock().unwrap().push(heard.clone());
    match script(&heard) {
        Say::Bytes(bytes) => {
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
        }
        Say::Drip(bytes, every) => {
            let mut said = stream.write_all(&bytes).await;
            while said.is_ok() {
                tokio::time::sleep(every).await;
                said = stream.write_all(b"x").await;
            }
        }
        Say::Endless(head, again) => {
            let mut said = stream.write_all(&head).await;
            while said.is_ok() {
                said = stream.write_all(&again).await;
            }
        }
        Say::Silence => {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        }
    }
}

async fn hear(stream: &mut TcpStream) -> Option<Heard> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers = lines.filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    let mut heard = Heard { method, path, headers: headers.collect(), body: bytes.split_off(head + 4) };
    let length = heard.header("content-length").parse().unwrap_or(0);
    while heard.body.len() < length {
        if stream.read_buf(&mut heard.body).await.ok()? == 0 {
            return None;
        }
    }
    Some(heard)
}
