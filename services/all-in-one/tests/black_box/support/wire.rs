//! One HTTP exchange of a scripted model, by hand over a real socket.
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// What was asked.
pub struct Asked {
    /// The first line: method, path, version.
    pub line: String,
    /// The value of its authorization header; empty without one.
    pub authorization: String,
    /// The body.
    pub body: Value,
}

/// Reads a request with a JSON body; `None` when there is none, as from whoever only looks whether somebody is there.
pub fn asked(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let (mut first, mut authorization, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().ok()?
            }
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                value.clone_into(&mut authorization);
            }
            None if line.trim().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line: first.trim().to_owned(), authorization, body: serde_json::from_slice(&body).ok()? })
}

/// Answers with a body of this media type; `None` when the caller is gone.
pub fn answer(mut stream: &TcpStream, media_type: &str, body: &str) -> Option<()> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\nconnection: close\r\ncontent-length:");
    stream.write_all(format!("{head} {}\r\n\r\n{body}", body.len()).as_bytes()).ok()
}
