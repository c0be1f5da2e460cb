//! Git's protocol version 2 over HTTP, as `gitprotocol-v2` and `gitprotocol-http` have it: lines with their lengths before
//! them, read off the connection as they come.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::timeout;

use super::super::reason;
use crate::adapters::Answer;
use crate::domain::origin::Miss;

/// The longest silence.
const SILENCE: Duration = Duration::from_secs(30);

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Data.
    Data(Bytes),
    /// The end of a message.
    Flush,
    /// The end of a section.
    Delimiter,
}

/// Lines of an answer.
pub struct Lines {
    answer: Answer,
    held: BytesMut,
}

impl Lines {
    /// The lines of an answer's body.
    pub fn of(answer: Answer) -> Self {
        Self { answer, held: BytesMut::new() }
    }

    /// The next line; `None` at the end of the body.
    pub async fn next(&mut self) -> Result<Option<Line>, Miss> {
        loop {
            if let Some((line, length)) = first(&self.held)? {
                let taken = self.held.split_to(length).freeze();
                return Ok(Some(match line {
                    Kind::Data => Line::Data(taken.slice(4..)),
                    Kind::Flush => Line::Flush,
                    Kind::Delimiter => Line::Delimiter,
                }));
            }
            let more = timeout(SILENCE, self.answer.next()).await;
            let more = more.map_err(|_| unavailable("git said nothing for half a minute"))?;
            match more {
                Some(Ok(bytes)) => self.held.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(unavailable(&error.message)),
                None if self.held.is_empty() => return Ok(None),
                None => return Err(odd("it ends within a line")),
            }
        }
    }

    /// The next line as text without its break; `None` at the end of a section, a message or the body.
    pub async fn text(&mut self) -> Result<Option<String>, Miss> {
        match self.next().await? {
            Some(Line::Data(bytes)) => {
                let text = std::str::from_utf8(&bytes).map_err(|_| odd("a line is no text"))?;
                Ok(Some(text.trim_end_matches('\n').to_owned()))
            }
            _ => Ok(None),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Flush,
    Delimiter,
}

/// The first line of what is held and its length; `None` when it is not all here.
fn first(held: &[u8]) -> Result<Option<(Kind, usize)>, Miss> {
    let Some(head) = held.get(..4) else { return Ok(None) };
    let digits =
        std::str::from_utf8(head).ok().filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    let length = digits.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    match length.ok_or_else(|| odd("a line has no length"))? {
        0 => Ok(Some((Kind::Flush, 4))),
        1 => Ok(Some((Kind::Delimiter, 4))),
        2 => Ok(Some((Kind::Flush, 4))),
        3 => Err(odd("a line has a length that there is not")),
        length if held.len() >= length => Ok(Some((Kind::Data, length))),
        _ => Ok(None),
    }
}

/// A request: a command, what goes with it, and its arguments.
pub fn request(command: &str, arguments: &[String]) -> Bytes {
    let mut all = String::new();
    let mut say = |line: &str| all.push_str(&format!("{:04x}{line}\n", line.len() + 5));
    say(&format!("command={command}"));
    say("object-format=sha1");
    let mut all = format!("{all}0001");
    for line in arguments {
        all.push_str(&format!("{:04x}{line}\n", line.len() + 5));
    }
    all.push_str("0000");
    all.into()
}

pub fn odd(message: &str) -> Miss {
    Miss::source(reason::ODD, format!("this is not git's protocol: {message}"))
}

pub fn unavailable(message: &str) -> Miss {
    Miss { again: Some(Duration::ZERO), ..Miss::source(reason::UNAVAILABLE, message) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_carry_their_lengths() {
        let sent = request("ls-refs", &["peel".to_owned()]);
        assert_eq!(&sent[..], b"0014command=ls-refs\n0017object-format=sha1\n00010009peel\n0000");
        assert_eq!(first(b"0009peel\nrest").unwrap(), Some((Kind::Data, 9)));
        assert_eq!(
            (first(b"0000").unwrap(), first(b"0001x").unwrap()),
            (Some((Kind::Flush, 4)), Some((Kind::Delimiter, 4)))
        );
        assert_eq!((first(b"00").unwrap(), first(b"0009pe").unwrap()), (None, None));
        for odd in [&b"0003"[..], b"zzzz", b"+009peel\n", b"<htm"] {
            assert_eq!(first(odd).unwrap_err().reason, reason::ODD);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            if let Ok(Some((_, length))) = first(&bytes) {
                prop_assert!(length >= 4 && length <= bytes.len());
            }
        }
    }
}
