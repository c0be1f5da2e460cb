//! The answer as it is written. Before the first token a failing model is replaced without anybody seeing it; after
//! it the stream ends with an error, because two halves of different answers make no answer.
use std::time::{Duration, Instant};

use copydesk_types::TenantId;
use futures_util::StreamExt;
use tokio::time::timeout;

use super::generate::{Failures, call};
use super::{Desk, Ending, Journal, Seat, Target};
use crate::domain::{Answer, Order, Outcome, StopReason, Usage};
use crate::error::Error;
use crate::ports::{EventSink, Gone};
use crate::providers::http::REPLY_LIMIT;
use crate::providers::{Piece, PieceStream, ProviderError};

/// A stream that has begun.
struct Open<'a> {
    target: &'a Target,
    first: Piece,
    rest: PieceStream,
}

/// A stream that has ended well.
struct Written {
    text: String,
    stop_reason: StopReason,
    usage: Option<Usage>,
}

impl Desk {
    /// Hands the answer to `sink` as it is written, and its completion last. A call that was made before gets the
    /// stored answer in one piece.
    ///
    /// # Errors
    /// As [`Error`] says; after an error the sink gets nothing more.
    #[tracing::instrument(name = "llm_router.stream_generate", skip_all, fields(gen_ai.operation.name = "chat", copydesk.task = order.prompt.task.as_str_name()))]
    pub async fn stream_generate(
        &self,
        tenant: TenantId,
        order: &Order,
        sink: &dyn EventSink,
    ) -> Result<(), Error> {
        let started = Instant::now();
        let lead = match self.seat(tenant, order).await? {
            Seat::Answered(answer) => return replay(*answer, sink).await,
            Seat::Lead(lead) => lead,
        };
        let outcome = self.write_stream(tenant, order, started, sink).await;
        lead.publish(&outcome);
        sink.done(outcome?.completion).await.map_err(gone)
    }

    async fn write_stream(
        &self,
        tenant: TenantId,
        order: &Order,
        started: Instant,
        sink: &dyn EventSink,
    ) -> Result<Answer, Error> {
        let mut journal = Journal::open(self, tenant, order);
        let open = match self.open(order, &mut journal).await {
            Ok(open) => open,
            Err(error) => {
                journal.close(None).await?;
                return Err(error);
            }
        };
        let target = open.target;
        match pump(open, &mut journal, sink).await? {
            Ok(Written { text, stop_reason, usage }) => {
                let usage = journal.end(Outcome::Ok, usage);
                let end = Ending { target, stop_reason, usage, started };
                let completion = self.completion(end, order, journal.attempts());
                self.keep(
                    journal,
                    order,
                    Answer {
                        text,
                        structured: None,
                        tool_calls: Vec::new(),
                        reasoning: String::new(),
                        completion,
                    },
                )
                .await
            }
            Err(error) => {
                log_broken(target, &error);
                journal.end(Outcome::StreamBroken, None);
                journal.close(None).await?;
                Err(Error::StreamBroken { model: target.name.clone() })
            }
        }
    }

    /// The first stream that begins.
    async fn open<'a>(&'a self, order: &'a Order, journal: &mut Journal<'a>) -> Result<Open<'a>, Error> {
        let mut failures = Failures::default();
        for target in self.catalog.route(order.model.as_deref()) {
            journal.begin(target, &[]);
            match begin(target, order).await {
                Ok((first, rest)) => return Ok(Open { target, first, rest }),
                Err(error) => {
                    journal.end(error.outcome, None);
                    failures.add(target, &error)?;
                }
            }
        }
        Err(failures.into())
    }
}

/// Opens a stream and waits for its first piece, both within the limit for the first token.
async fn begin(target: &Target, order: &Order) -> Result<(Piece, PieceStream), ProviderError> {
    let call = call(target, order, Vec::new());
    let open = async {
        let mut rest = target.provider.stream(&call).await?;
        let first = next(&mut rest).await?;
        match &first {
            Piece::Done { stop_reason, .. } if *stop_reason != StopReason::Refusal => {
                Err(ProviderError::new(Outcome::BadReply, "the answer is empty"))
            }
            _ => Ok((first, rest)),
        }
    };
    within(target.first_token, "no first token in time", open).await
}

/// Hands pieces on until the stream ends. The outer error is the reader's, the inner one the model's.
async fn pump(
    open: Open<'_>,
    journal: &mut Journal<'_>,
    sink: &dyn EventSink,
) -> Result<Result<Written, ProviderError>, Error> {
    let Open { target, first, mut rest } = open;
    let mut text = String::new();
    let mut piece = first;
    loop {
        match piece {
            Piece::Done { stop_reason, usage } => return Ok(Ok(Written { text, stop_reason, usage })),
            Piece::Reasoning(_) | Piece::ToolCall(_) => {}
            Piece::Text(more) => {
                journal.wrote(more.len());
                if text.len() + more.len() > REPLY_LIMIT {
                    let words = "the stream grew beyond the limit of an answer";
                    return Ok(Err(ProviderError::new(Outcome::StreamBroken, words)));
                }
                text.push_str(&more);
                sink.delta(more).await.map_err(gone)?;
            }
        }
        piece = match within(target.idle, "the stream fell silent", next(&mut rest)).await {
            Ok(piece) => piece,
            Err(error) => return Ok(Err(error)),
        };
    }
}

// A function of its own, since a `dyn Error` may not be held while something is awaited.
fn log_broken(target: &Target, error: &ProviderError) {
    let cause = error as &dyn std::error::Error;
    tracing::warn!(model = target.name, error = cause, "an answer broke off");
}

async fn next(stream: &mut PieceStream) -> Result<Piece, ProviderError> {
    let cut = || ProviderError::new(Outcome::StreamBroken, "the stream ended without a finish reason");
    stream.next().await.unwrap_or_else(|| Err(cut()))
}

async fn within<T>(
    limit: Duration,
    detail: &'static str,
    work: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(ProviderError::new(Outcome::Timeout, detail)))
}

async fn replay(answer: Answer, sink: &dyn EventSink) -> Result<(), Error> {
    if !answer.text.is_empty() {
        sink.delta(answer.text).await.map_err(gone)?;
    }
    sink.done(answer.completion).await.map_err(gone)
}

fn gone(_: Gone) -> Error {
    Error::ReaderGone
}
