//! The body of an answer, unpacked on the way and never longer than it may be, neither packed nor unpacked.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::client::broken;
use crate::domain::web::{WebError, WebFault};

/// Reads a body of at most `most` bytes. Of a longer one the head when `cut` says so, else it is refused.
pub(super) async fn read(
    headers: &HeaderMap,
    body: &mut Incoming,
    most: u64,
    cut: bool,
) -> Result<Bytes, WebError> {
    let said = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if !cut && said.is_some_and(|said| said > most) {
        return Err(too_large(most));
    }
    let mut taken = Unpacked::new(headers, most)?;
    let mut packed: u64 = 0;
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that is asked for.
        let Ok(bytes) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        packed += bytes.len() as u64;
        let fits = taken.write(&bytes)?;
        if !fits || packed > most {
            return if cut { Ok(taken.cut()) } else { Err(too_large(most)) };
        }
    }
    taken.finish(cut, most)
}

fn too_large(most: u64) -> WebError {
    WebError::new(WebFault::TooLarge, format!("the answer is longer than {most} bytes"))
}

enum Unpacked {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
}

impl Unpacked {
    fn new(headers: &HeaderMap, most: u64) -> Result<Self, WebError> {
        let bounded =
            Bounded { bytes: Vec::new(), most: usize::try_from(most).unwrap_or(usize::MAX), full: false };
        let packing = headers.get(CONTENT_ENCODING).map_or(Ok(""), |packing| packing.to_str());
        match packing.unwrap_or("?").trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Plain(bounded)),
            "gzip" | "x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(bounded)))),
            _ => Err(WebError::new(
                WebFault::BadAnswer,
                "the answer is packed in a way that was not asked for",
            )),
        }
    }

    /// False when more comes than may.
    fn write(&mut self, bytes: &[u8]) -> Result<bool, WebError> {
        match self {
            Self::Plain(bounded) => Ok(bounded.write_all(bytes).is_ok()),
            Self::Gzip(decoder) => match decoder.write_all(bytes) {
                Ok(()) => Ok(true),
                Err(_) if decoder.get_ref().full => Ok(false),
                Err(_) => Err(damaged()),
            },
        }
    }

    fn cut(self) -> Bytes {
        match self {
            Self::Plain(bounded) => bounded.bytes.into(),
            Self::Gzip(mut decoder) => std::mem::take(&mut decoder.get_mut().bytes).into(),
        }
    }

    fn finish(self, cut: bool, most: u64) -> Result<Bytes, WebError> {
        match self {
            Self::Plain(bounded) => Ok(bounded.bytes.into()),
            Self::Gzip(mut decoder) => match decoder.try_finish() {
                Ok(()) => Ok(std::mem::take(&mut decoder.get_mut().bytes).into()),
                Err(_) if !decoder.get_ref().full => Err(damaged()),
                Err(_) if cut => Ok(std::mem::take(&mut decoder.get_mut().bytes).into()),
                Err(_) => Err(too_large(most)),
            },
        }
    }
}

fn damaged() -> WebError {
    WebError::new(WebFault::BadAnswer, "the answer is packed, and damaged")
}

/// Takes bytes up to a limit; the rest of what does not fit is refused.
struct Bounded {
    bytes: Vec<u8>,
    most: usize,
    full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.most - self.bytes.len();
        if bytes.len() > room {
            self.full = true;
            if room == 0 {
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, "longer than it may be"));
            }
        }
        let taken = &bytes[..bytes.len().min(room)];
        self.bytes.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
