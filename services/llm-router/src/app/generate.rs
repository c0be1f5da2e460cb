//! One whole answer.
use std::time::{Duration, Instant};

use copydesk_types::TenantId;
use serde_json::{Map, Value};
use tokio::time::timeout;
use tracing::Instrument;

use super::{Desk, Ending, Journal, Seat, Target};
use crate::domain::{Answer, Call, Order, Outcome, Schema, StopReason, Turn, Usage, repair_turns};
use crate::error::Error;
use crate::providers::{ProviderError, Reply};

/// What a model gave.
struct Found<'a> {
    target: &'a Target,
    text: String,
    structured: Option<Map<String, Value>>,
    stop_reason: StopReason,
    usage: Usage,
}

impl Desk {
    /// One whole answer: the stored one if this call was made before, else from the first model that gives one.
    ///
    /// # Errors
    /// As [`Error`] says; every attempt is in the ledger all the same.
    #[tracing::instrument(name = "llm_router.generate", skip_all, fields(gen_ai.operation.name = "chat", copydesk.task = order.prompt.task.as_str_name()))]
    pub async fn generate(&self, tenant: TenantId, order: &Order) -> Result<Answer, Error> {
        let started = Instant::now();
        let lead = match self.seat(tenant, order).await? {
            Seat::Answered(answer) => return Ok(*answer),
            Seat::Lead(lead) => lead,
        };
        let outcome = self.make(tenant, order, started).await;
        lead.publish(&outcome);
        outcome
    }

    async fn make(&self, tenant: TenantId, order: &Order, started: Instant) -> Result<Answer, Error> {
        let mut journal = Journal::open(self, tenant, order);
        match self.walk(order, &mut journal).await {
            Ok(Found { target, text, structured, stop_reason, usage }) => {
                let end = Ending { target, stop_reason, usage, started };
                let completion = self.completion(end, order, journal.attempts());
                self.keep(
                    journal,
                    order,
                    Answer { text, structured, tool_calls: Vec::new(), reasoning: String::new(), completion },
                )
                .await
            }
            Err(error) => {
                journal.close(None).await?;
                Err(error)
            }
        }
    }

    /// Tries one model after the other.
    async fn walk<'a>(&'a self, order: &'a Order, journal: &mut Journal<'a>) -> Result<Found<'a>, Error> {
        let mut failures = Failures::default();
        for target in self.catalog.route(order.model.as_deref()) {
            match attempt(target, order, journal).await {
                Ok(found) => return Ok(found),
                Err(error) => failures.add(target, &error)?,
            }
        }
        Err(failures.into())
    }
}

/// The models that were tried in vain.
#[derive(Default)]
pub(super) struct Failures {
    attempts: Vec<(String, Outcome)>,
    retry_after: Option<Duration>,
}

impl Failures {
    /// Notes a failure; an error when no other model may be tried.
    pub(super) fn add(&mut self, target: &Target, error: &ProviderError) -> Result<(), Error> {
        let cause = error as &dyn std::error::Error;
        tracing::warn!(
            model = target.name,
            outcome = error.outcome.as_str(),
            error = cause,
            "a model gave no answer"
        );
        self.attempts.push((target.name.clone(), error.outcome));
        self.retry_after = match (self.retry_after, error.retry_after) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        if error.outcome.another_may_help() {
            Ok(())
        } else {
            Err(Error::RefusedInput { model: target.name.clone() })
        }
    }
}

impl From<Failures> for Error {
    fn from(failures: Failures) -> Self {
        match failures.attempts.as_slice() {
            [(_, Outcome::SchemaUnsupported)] => Error::SchemaUnsupported,
            _ => Error::AllFailed { attempts: failures.attempts, retry_after: failures.retry_after },
        }
    }
}

/// Asks one model; when its answer does not satisfy the schema, once more with the faults.
async fn attempt<'a>(
    target: &'a Target,
    order: &Order,
    journal: &mut Journal<'a>,
) -> Result<Found<'a>, ProviderError> {
    let mut more = Vec::new();
    // The offline writer would only say the same again.
    let rounds = if order.prompt.schema.is_some() && !target.offline { 2 } else { 1 };
    for round in 1..=rounds {
        let reply = ask(target, order, &more, journal).await?;
        let (text, structured) = match &order.prompt.schema {
            None => (reply.text, None),
            Some(schema) => match read(schema, &reply.text) {
                Ok((text, map)) => (text, Some(map)),
                Err(faults) => {
                    journal.end(Outcome::BadReply, reply.usage);
                    if round < rounds {
                        more = repair_turns(&reply.text, &faults);
                    }
                    continue;
                }
            },
        };
        let usage = journal.end(Outcome::Ok, reply.usage);
        return Ok(Found { target, text, structured, stop_reason: reply.stop_reason, usage });
    }
    Err(ProviderError::new(Outcome::BadReply, "the answer does not satisfy the schema"))
}

fn read(schema: &Schema, text: &str) -> Result<(String, Map<String, Value>), Vec<String>> {
    let map = schema.read(text)?;
    Ok((Value::Object(map.clone()).to_string(), map))
}

/// One call to one model. A good reply leaves the journal's entry open for the judgement of its form.
async fn ask<'a>(
    target: &'a Target,
    order: &Order,
    more: &[Turn],
    journal: &mut Journal<'a>,
) -> Result<Reply, ProviderError> {
    let call = call(target, order, more.to_vec());
    journal.begin(target, more);
    let span = tracing::info_span!("llm_router.attempt", gen_ai.request.model = target.name);
    let reply = match timeout(target.total, target.provider.generate(&call).instrument(span)).await {
        Err(_) => Err(ProviderError::new(Outcome::Timeout, "no answer in time")),
        Ok(Ok(reply)) if reply.text.trim().is_empty() && reply.stop_reason != StopReason::Refusal => {
            Err(ProviderError::new(Outcome::BadReply, "the answer is empty"))
        }
        Ok(reply) => reply,
    };
    match &reply {
        Ok(reply) => journal.wrote(reply.text.len()),
        Err(error) => {
            journal.end(error.outcome, None);
        }
    }
    reply
}

/// The call that a model gets.
pub(super) fn call(target: &Target, order: &Order, more: Vec<Turn>) -> Call {
    Call {
        model: target.model.clone(),
        context_tokens: target.context_tokens,
        prompt: std::sync::Arc::clone(&order.prompt),
        more,
    }
}
