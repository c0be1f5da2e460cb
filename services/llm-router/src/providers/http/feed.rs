//! A streamed reply, turned into pieces.
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::Body;
use hyper::body::Incoming;

use super::failure::{broken, cut};
use super::{Reply, Veil};
use crate::providers::{Piece, PieceStream, ProviderError};

/// Turns the bytes of a streamed answer into pieces.
pub trait Decode: Send + Unpin + 'static {
    /// Adds the pieces that these bytes complete; those before an error count.
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError>;

    /// Adds the pieces that the end of the body completes. The end must have come with [`Piece::Done`] before or now.
    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError>;
}

/// The pieces of a reply. After an error or the end there is nothing more.
pub(super) fn pieces(reply: Reply, decoder: impl Decode, veil: Veil) -> PieceStream {
    let status = reply.status().as_u16();
    let (found, waiting) = (Vec::new(), VecDeque::new());
    Feed { body: Some(reply.into_body()), decoder, veil, status, found, waiting }.boxed()
}

struct Feed<D> {
    body: Option<Incoming>,
    decoder: D,
    veil: Veil,
    status: u16,
    /// What the latest bytes brought. Kept for its room.
    found: Vec<Piece>,
    waiting: VecDeque<Result<Piece, ProviderError>>,
}

impl<D: Decode> Stream for Feed<D> {
    type Item = Result<Piece, ProviderError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(piece) = this.waiting.pop_front() {
                return Poll::Ready(Some(piece));
            }
            let Some(body) = this.body.as_mut() else { return Poll::Ready(None) };
            let news = match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => Some(Ok(bytes)),
                    // Trailers say nothing that is asked for.
                    Err(_) => continue,
                },
                Poll::Ready(Some(Err(error))) => Some(Err(error)),
                Poll::Ready(None) => None,
            };
            if this.take(news) {
                // The end of the body is usually here already; taking it lets the connection be used again.
                if let Some(mut body) = this.body.take() {
                    let _ = Pin::new(&mut body).poll_frame(cx);
                }
            }
        }
    }
}

impl<D: Decode> Feed<D> {
    /// Takes the next bytes, or the end; true when nothing more is wanted.
    fn take(&mut self, news: Option<Result<Bytes, hyper::Error>>) -> bool {
        let (result, over) = match news {
            Some(Ok(bytes)) => (self.decoder.decode(&bytes, &mut self.found), false),
            Some(Err(error)) => (Err(broken("the stream broke off").with_source(error)), true),
            None => (self.decoder.end(&mut self.found), true),
        };
        let complete = self.found.iter().position(|piece| matches!(piece, Piece::Done { .. }));
        self.found.truncate(complete.map_or(self.found.len(), |at| at + 1));
        self.waiting.extend(self.found.drain(..).map(Ok));
        let failure = match result {
            _ if complete.is_some() => None,
            Err(error) => Some(error),
            Ok(()) if over => Some(cut()),
            Ok(()) => return false,
        };
        self.waiting.extend(failure.map(|error| Err(self.veil.over(error.with_status(self.status)))));
        true
    }
}
