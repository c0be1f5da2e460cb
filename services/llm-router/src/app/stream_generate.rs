//! The answer as it is written. Before the first token a failing model is replaced without anybody seeing it. After it the
//! stream ends with an error, or begins anew where the request says so: two halves of different answers make no answer.
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::Instrument;

use super::Desk;
use super::choice::size;
use super::course::{Course, Left, Open, Stop};
use super::generate::{Ending, call, completion};
use super::obtain::{Making, Visit};
use super::walk::{Errand, walk};
use crate::domain::{Answer, Order, Outcome, StopReason, ToolCall, Usage};
use crate::error::{Error, Failure};
use crate::ports::{EventSink, StreamEvent};
use crate::providers::http::REPLY_LIMIT;
use crate::providers::{Piece, PieceStream, ProviderError};

impl Desk {
    /// Hands the answer to `sink` as it is written; returns it whole at the end. A call that was made before gets the
    /// stored answer in one piece, one that is under way is heard from its beginning.
    ///
    /// # Errors
    /// As [`Error`] says; after an error the sink gets nothing more.
    #[tracing::instrument(name = "llm_router.stream_generate", skip_all, fields(gen_ai.operation.name = "chat", copydesk.task = order.prompt.task.as_str_name()))]
    pub async fn stream_generate(
        self: &Arc<Self>,
        visit: Visit,
        order: Order,
        sink: Arc<dyn EventSink>,
    ) -> Result<Answer, Error> {
        self.obtain(visit, Arc::new(order), sink, make).await
    }
}

async fn make(desk: Arc<Desk>, order: Arc<Order>, making: Making) -> Result<Answer, Error> {
    let (course, decision, mut stops) = desk.depart(&order, &making).await?;
    let errand = Begin { order: Arc::clone(&order), hedge: desk.hedges(&order) };
    let pinned = order.model.is_some();
    loop {
        let (begun, stop) = walk(&course, &stops, desk.manner(), &errand).await?;
        match pump(begun, making.sink.as_ref()).await? {
            Ok(Written { text, reasoning, tool_calls, stop_reason, usage, first_token_us }) => {
                let end = Ending { stop: &stop, stop_reason, usage, first_token_us, pinned };
                let completion = completion(&course, decision, end);
                let answer = Answer { text, structured: None, tool_calls, reasoning, completion };
                return desk.keep(&course, &order, answer).await;
            }
            Err(error) => {
                log_broken(&stop, &error);
                stops.retain(|other| other.target.name != stop.target.name);
                if !order.routing.restart || stops.is_empty() {
                    return Err(Error::StreamBroken(Failure::of(&stop.target.name, &error)));
                }
                let (model, outcome) = (stop.target.name.to_string(), error.outcome);
                making.sink.event(StreamEvent::Restarted { model, outcome }).await?;
            }
        }
    }
}

/// Opens a stream and waits for its first piece, both within the limit for the first token.
struct Begin {
    order: Arc<Order>,
    hedge: bool,
}

/// A stream that has begun.
struct Begun {
    open: Open,
    first: Piece,
    rest: PieceStream,
    idle: Duration,
}

#[async_trait]
impl Errand for Begin {
    type Gain = Begun;

    async fn ask(&self, course: &Arc<Course>, stop: &Stop) -> Result<Begun, Left> {
        let target = &stop.target;
        let mut open = course.open(stop, size(&self.order.prompt, target, 0)).await?;
        let call = call(target, &self.order.prompt, Vec::new());
        let span = tracing::info_span!("llm_router.attempt", gen_ai.operation.name = "chat", gen_ai.request.model = %target.name, gen_ai.provider.name = %target.provider_name, copydesk.outcome = tracing::field::Empty);
        let begin = async {
            let mut rest = target.provider.stream(&call).await?;
            Ok((next(&mut rest).await?, rest))
        };
        let limit = open.limit(target.first_token);
        match within(limit, "no first token in time", begin.instrument(span.clone())).await {
            Ok((Piece::Done { stop_reason, usage }, _)) if stop_reason != StopReason::Refusal => {
                span.record("copydesk.outcome", Outcome::BadReply.as_str());
                Err(open.empty(usage).into())
            }
            Ok((first, rest)) => {
                open.first_token();
                span.record("copydesk.outcome", Outcome::Ok.as_str());
                Ok(Begun { open, first, rest, idle: target.idle })
            }
            Err(error) => {
                span.record("copydesk.outcome", error.outcome.as_str());
                open.failed(&error);
                Err(error.into())
            }
        }
    }

    fn hedge_after(&self, stop: &Stop) -> Option<Duration> {
        if self.hedge { stop.target.health.read(|pace| pace.first_token.reliable_p95()) } else { None }
    }
}

/// A stream that has ended well.
struct Written {
    text: String,
    reasoning: String,
    tool_calls: Vec<ToolCall>,
    stop_reason: StopReason,
    usage: Usage,
    first_token_us: u64,
}

/// Hands pieces on until the stream ends. The outer error is the reader's, the inner one the model's.
async fn pump(begun: Begun, sink: &dyn EventSink) -> Result<Result<Written, ProviderError>, Error> {
    let Begun { mut open, first, mut rest, idle } = begun;
    let mut silence = Silence::after(idle);
    let (mut text, mut reasoning, mut tool_calls) = (String::new(), String::new(), Vec::new());
    let mut piece = first;
    loop {
        let event = match piece {
            Piece::Done { stop_reason, usage } => {
                let first_token_us = open.first_token_us();
                let usage = open.done(usage);
                return Ok(Ok(Written { text, reasoning, tool_calls, stop_reason, usage, first_token_us }));
            }
            Piece::Text(more) => {
                open.wrote(more.len());
                text.push_str(&more);
                StreamEvent::Text(more)
            }
            Piece::Reasoning(more) => {
                open.wrote(more.len());
                reasoning.push_str(&more);
                StreamEvent::Reasoning(more)
            }
            Piece::ToolCall(call) => {
                open.wrote(call.name.len());
                tool_calls.push(call.clone());
                StreamEvent::ToolCall(call)
            }
        };
        let broken = if text.len() + reasoning.len() > REPLY_LIMIT {
            let words = "the stream grew beyond the limit of an answer";
            Err(ProviderError::new(Outcome::StreamBroken, words))
        } else {
            sink.event(event).await?;
            silence.break_by(&mut rest).await
        };
        match broken {
            Ok(next) => piece = next,
            Err(error) => {
                // Whatever ended it, for the ledger it broke after its first token.
                let end = ProviderError { outcome: Outcome::StreamBroken, ..error };
                open.failed(&end);
                return Ok(Err(end));
            }
        }
    }
}

/// The longest wait for the next piece. Its alarm is not moved with every piece but when it rings: setting a timer costs
/// more than a look at the clock.
struct Silence {
    limit: Duration,
    alarm: Pin<Box<Sleep>>,
}

impl Silence {
    fn after(limit: Duration) -> Self {
        Self { limit, alarm: Box::pin(sleep(limit)) }
    }

    /// The next piece, if it comes in time.
    async fn break_by(&mut self, rest: &mut PieceStream) -> Result<Piece, ProviderError> {
        let over = Instant::now() + self.limit;
        loop {
            tokio::select! {
                biased;
                piece = next(rest) => return piece,
                () = &mut self.alarm => {
                    if Instant::now() >= over {
                        return Err(ProviderError::new(Outcome::Timeout, "the stream fell silent"));
                    }
                    self.alarm.as_mut().reset(over);
                }
            }
        }
    }
}

// A function of its own, since a `dyn Error` may not be held while something is awaited.
fn log_broken(stop: &Stop, error: &ProviderError) {
    let cause = error as &dyn std::error::Error;
    tracing::warn!(model = %stop.target.name, error = cause, "an answer broke off");
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
