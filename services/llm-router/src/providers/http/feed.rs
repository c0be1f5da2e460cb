//! A streamed reply, turned into pieces.
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt};
use reqwest::Response;

use super::Veil;
use super::failure::{broken, cut};
use crate::providers::{Piece, PieceStream, ProviderError};

/// Turns the bytes of a streamed answer into pieces.
pub trait Decode: Send + 'static {
    /// Adds the pieces that these bytes complete; those before an error count.
    fn decode(&mut self, bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<(), ProviderError>;

    /// Adds the pieces that the end of the body completes. The end must have come with [`Piece::Done`] before or now.
    fn end(&mut self, pieces: &mut Vec<Piece>) -> Result<(), ProviderError>;
}

/// The pieces of a reply. After an error or the end there is nothing more.
pub(super) fn pieces(reply: Response, decoder: impl Decode, veil: Veil) -> PieceStream {
    let status = reply.status().as_u16();
    let state = Feed { bytes: Some(reply.bytes_stream().boxed()), decoder, veil, status };
    stream::unfold(state, |mut state| async move {
        let batch = state.next().await?;
        Some((stream::iter(batch), state))
    })
    .flatten()
    .boxed()
}

struct Feed<D> {
    bytes: Option<BoxStream<'static, Result<Bytes, reqwest::Error>>>,
    decoder: D,
    veil: Veil,
    status: u16,
}

impl<D: Decode> Feed<D> {
    async fn next(&mut self) -> Option<Vec<Result<Piece, ProviderError>>> {
        let bytes = self.bytes.as_mut()?;
        let mut found = Vec::new();
        let (result, over) = match bytes.next().await {
            Some(Ok(chunk)) => (self.decoder.decode(&chunk, &mut found), false),
            Some(Err(e)) => (Err(broken("the stream broke off").with_source(e.without_url())), true),
            None => (self.decoder.end(&mut found), true),
        };
        let complete = found.iter().position(|piece| matches!(piece, Piece::Done { .. }));
        found.truncate(complete.map_or(found.len(), |at| at + 1));
        let mut batch: Vec<_> = found.into_iter().map(Ok).collect();
        let failure = match result {
            _ if complete.is_some() => None,
            Err(error) => Some(error),
            Ok(()) if over => Some(cut()),
            Ok(()) => return Some(batch),
        };
        batch.extend(failure.map(|error| Err(self.veil.over(error.with_status(self.status)))));
        // The end of the body is usually here already; taking it lets the connection be used again.
        let _ = bytes.next().now_or_never();
        self.bytes = None;
        Some(batch)
    }
}
