//! A provider of our own: an HTTP server on a loopback port that writes exactly the bytes it is told.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};

/// What to do with one request, step by step.
#[derive(Debug, Clone)]
pub enum Act {
    /// Write these bytes.
    Send(Vec<u8>),
    /// Reply with the JSON that this makes of the request's body.
    Make(fn(&Value) -> String),
    /// Cut the connection hard.
    Reset,
    /// End the connection.
    Close,
    /// Write these bytes again and again until the client has gone, and tell then.
    Drip(Vec<u8>),
    /// Write nothing more, and tell when the client has gone.
    WaitForClient,
    /// Go on when [`Server::go_on`] says so, once for each time it says so.
    WaitForWord,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Value,
}

impl Seen {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    arrived: mpsc::UnboundedReceiver<()>,
    gone: mpsc::UnboundedReceiver<()>,
    word: Arc<Semaphore>,
}

impl Server {
    /// Answers the first request with the first script, and so on; the last script answers all that follow.
    pub async fn start(scripts: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let scripts = Arc::new(Mutex::new(VecDeque::from(scripts)));
        let (arrived_tx, arrived) = mpsc::unbounded_channel();
        let (gone_tx, gone) = mpsc::unbounded_channel();
        let log = Arc::clone(&seen);
        let word = Arc::new(Semaphore::new(0));
        let given = Arc::clone(&word);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (log, scripts, word) = (Arc::clone(&log), Arc::clone(&scripts), Arc::clone(&given));
                tokio::spawn(serve(socket, log, scripts, word, arrived_tx.clone(), gone_tx.clone()));
            }
        });
        Self { url, seen, arrived, gone, word }
    }

    /// An address where nobody listens, nor ever will: its port stays bound until the process ends.
    pub async fn nobody() -> String {
        let socket = Box::leak(Box::new(TcpSocket::new_v4().unwrap()));
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        format!("http://{}", socket.local_addr().unwrap())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for the next request.
    pub async fn arrival(&mut self) {
        self.arrived.recv().await.unwrap();
    }

    /// Lets one [`Act::WaitForWord`] go on.
    pub fn go_on(&self) {
        self.word.add_permits(1);
    }

    /// Waits until a client has gone whose script said [`Act::WaitForClient`] or [`Act::Drip`].
    pub async fn departure(&mut self) {
        self.gone.recv().await.unwrap();
    }
}

async fn serve(
    mut socket: TcpStream,
    log: Arc<Mutex<Vec<Seen>>>,
    scripts: Arc<Mutex<VecDeque<Vec<Act>>>>,
    word: Arc<Semaphore>,
    arrived: mpsc::UnboundedSender<()>,
    gone: mpsc::UnboundedSender<()>,
) {
    while let Some(request) = read_request(&mut socket).await {
        let body = request.body.clone();
        log.lock().unwrap().push(request);
        let _ = arrived.send(());
        let script = {
            let mut scripts = scripts.lock().unwrap();
            if scripts.len() > 1 { scripts.pop_front().unwrap() } else { scripts[0].clone() }
        };
        for act in script {
            match act {
                Act::Send(bytes) => {
                    let _ = socket.write_all(&bytes).await;
                }
                Act::Make(make) => {
                    for act in json("200 OK", "", &make(&body)) {
                        let Act::Send(bytes) = act else { unreachable!("a whole reply is sent") };
                        let _ = socket.write_all(&bytes).await;
                    }
                }
                Act::Reset => {
                    let _ = socket.set_zero_linger();
                    return;
                }
                Act::Close => return,
                Act::Drip(bytes) => {
                    while socket.write_all(&bytes).await.is_ok() {
                        tokio::task::yield_now().await;
                    }
                    let _ = gone.send(());
                    return;
                }
                Act::WaitForWord => word.acquire().await.unwrap().forget(),
                Act::WaitForClient => {
                    let mut byte = [0];
                    let _ = socket.read(&mut byte).await;
                    let _ = gone.send(());
                    return;
                }
            }
        }
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let seen = Seen { head, body: Value::Null };
    let length: usize = seen.header("content-length").map_or(0, |n| n.parse().unwrap());
    while bytes.len() < end + length {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { body: serde_json::from_slice(&bytes[end..]).unwrap_or(Value::Null), ..seen })
}

/// A whole reply with a JSON body.
pub fn json(status: &str, headers: &str, body: &str) -> Vec<Act> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n"
    );
    vec![Act::Send(format!("{head}{body}").into_bytes())]
}

/// A streamed reply: its body in chunks of `width` bytes, so that characters and events are cut anywhere, then `end`.
pub fn stream(body: &str, width: usize, end: Vec<Act>) -> Vec<Act> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut acts = vec![Act::Send(head.into())];
    for chunk in body.as_bytes().chunks(width) {
        let mut bytes = format!("{:x}\r\n", chunk.len()).into_bytes();
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
        acts.push(Act::Send(bytes));
    }
    acts.extend(end);
    acts
}

/// The proper end of a chunked body.
pub fn finish() -> Vec<Act> {
    vec![Act::Send(b"0\r\n\r\n".to_vec())]
}
