//! One whole answer.
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::Operation;
use serde_json::{Map, Value};
use tokio::time::timeout;
use tracing::Instrument;

use super::choice::{Wanted, shown, size};
use super::course::{Course, Departure, Left, Open, Stop};
use super::draft::{Draft, Object};
use super::obtain::{Deaf, Making, Visit, same_body};
use super::walk::{Errand, walk};
use super::{Desk, Target};
use crate::domain::{
    Answer, Attempt, Call, Completion, Decision, Order, Outcome, Prompt, StopReason, ToolCall, Turn, Usage,
};
use crate::error::{Error, list};
use crate::providers::{ProviderError, Reply};

impl Desk {
    /// One whole answer: the stored one if this call was made before, else from the first model that gives one.
    ///
    /// # Errors
    /// As [`Error`] says; every attempt is in the ledger all the same.
    #[tracing::instrument(name = "llm_router.generate", skip_all, fields(gen_ai.operation.name = "chat", copydesk.task = order.prompt.task.as_str_name()))]
    pub async fn generate(self: &Arc<Self>, visit: Visit, order: Order) -> Result<Answer, Error> {
        self.obtain(visit, Arc::new(order), Arc::new(Deaf), make).await
    }

    /// A course for a call for text, its decision and its chain.
    pub(super) async fn depart(
        self: &Arc<Self>,
        order: &Order,
        making: &Making,
    ) -> Result<(Arc<Course>, Decision, Vec<Stop>), Error> {
        let departure = Departure {
            tenant: making.visit.tenant,
            attribution: Arc::new(order.attribution.clone()),
            task: order.prompt.task,
            operation: Operation::Chat,
            arrived: making.visit.arrived,
            deadline: making.visit.deadline.clone(),
            most: order.routing.max_cost,
            price_version: String::new(),
        };
        self.depart_for(departure, &Wanted::text(order)).await
    }

    /// The same for a call of any kind; the price table's version is filled in.
    pub(super) async fn depart_for(
        self: &Arc<Self>,
        departure: Departure,
        wanted: &Wanted<'_>,
    ) -> Result<(Arc<Course>, Decision, Vec<Stop>), Error> {
        if !self.ledger.has_room() {
            return Err(Error::LedgerFull);
        }
        let catalog = self.catalog();
        let (decision, stops) =
            self.choose(&catalog, departure.tenant, &departure.attribution, wanted).await?;
        let departure = Departure { price_version: decision.price_version.clone(), ..departure };
        Ok((Course::begin(Arc::clone(self), departure), decision, stops))
    }

    /// Writes the records, and the answer if the call has an id, before it is given.
    pub(super) async fn keep(&self, course: &Course, order: &Order, answer: Answer) -> Result<Answer, Error> {
        match self.stored(order, &answer) {
            None => {
                self.ledger.append(course.tenant, &course.take_rows())?;
                Ok(answer)
            }
            Some(stored) => {
                let earlier = self.ledger.keep(course.tenant, &course.rows(), &stored).await?;
                // They are in the ledger. Taken before, they would be lost with a caller who stops waiting.
                drop(course.take_rows());
                match earlier {
                    // Another replica was faster: its answer is the one that counts.
                    Some(earlier) => same_body(earlier, order).map(Answer::replayed),
                    None => Ok(answer),
                }
            }
        }
    }
}

/// How an answer came to be.
pub(super) fn completion(course: &Course, decision: Decision, end: Ending<'_>) -> Completion {
    let account = course.account();
    let Ending { stop, stop_reason, usage, first_token_us, pinned } = end;
    Completion {
        model: stop.target.name.to_string(),
        provider: stop.target.provider_name.to_string(),
        stop_reason,
        usage,
        cost: account.cost,
        price_version: decision.price_version.to_string(),
        degraded_reason: degraded_reason(course, &stop.target, pinned, &account.attempts),
        attempts: in_order(account.attempts, stop),
        latency_us: account.latency_us,
        replayed: false,
        tier: Some(stop.tier),
        decision: Some(shown(decision)),
        cached: false,
        overhead_us: account.overhead_us,
        queued_us: account.queued_us,
        first_token_us,
        budget_warnings: account.warnings,
    }
}

/// The answering one last: a model that was overtaken ends after the one that overtook it.
fn in_order(mut attempts: Vec<Attempt>, stop: &Stop) -> Vec<Attempt> {
    let answering = |attempt: &Attempt| attempt.outcome == Outcome::Ok && *attempt.model == *stop.target.name;
    if let Some(at) = attempts.iter().rposition(answering) {
        attempts[at..].rotate_left(1);
    }
    attempts
}

/// How the answering call ended.
pub(super) struct Ending<'a> {
    pub(super) stop: &'a Stop,
    pub(super) stop_reason: StopReason,
    pub(super) usage: Usage,
    pub(super) first_token_us: u64,
    pub(super) pinned: bool,
}

async fn make(desk: Arc<Desk>, order: Arc<Order>, making: Making) -> Result<Answer, Error> {
    let (course, decision, stops) = desk.depart(&order, &making).await?;
    let errand = Whole { order: Arc::clone(&order), hedge: desk.hedges(&order) };
    let (found, stop) = walk(&course, &stops, desk.manner(), &errand).await?;
    let Found { text, structured, tool_calls, reasoning, stop_reason, usage } = found;
    let pinned = order.model.is_some();
    let end = Ending { stop: &stop, stop_reason, usage, first_token_us: 0, pinned };
    let completion = completion(&course, decision, end);
    desk.keep(&course, &order, Answer { text, structured, tool_calls, reasoning, completion }).await
}

/// What a model gave.
struct Found {
    text: String,
    structured: Option<Map<String, Value>>,
    tool_calls: Vec<ToolCall>,
    reasoning: String,
    stop_reason: StopReason,
    usage: Usage,
}

/// Asks for a whole answer; when it does not satisfy the schema, once more with the faults.
struct Whole {
    order: Arc<Order>,
    hedge: bool,
}

#[async_trait]
impl Errand for Whole {
    type Gain = Found;

    async fn ask(&self, course: &Arc<Course>, stop: &Stop) -> Result<Found, Left> {
        let Some(schema) = &self.order.prompt.schema else {
            let (reply, open) = self.call(course, stop, &self.order.prompt, Vec::new()).await?;
            return Ok(Found::of(reply, open, None));
        };
        let (reply, open) = self.call(course, stop, &self.order.prompt, Vec::new()).await?;
        let draft = match Draft::read(schema, &self.order.prompt.analyses, &reply.text) {
            Ok(object) => return Ok(Found::of(reply, open, Some(object))),
            Err(draft) => draft,
        };
        open.useless(reply.usage);
        // The offline writer would only say the same again.
        if !stop.target.offline {
            let prompt = draft.repair_prompt(&self.order.prompt, schema);
            let (reply, open) = self.call(course, stop, &prompt, draft.repair_turns(&reply.text)).await?;
            match draft.mend(schema, &self.order.prompt.analyses, &reply.text) {
                Some(object) => return Ok(Found::of(reply, open, Some(object))),
                None => open.useless(reply.usage),
            }
        }
        Err(ProviderError::new(Outcome::BadReply, "the answer does not satisfy the schema").into())
    }

    fn hedge_after(&self, stop: &Stop) -> Option<Duration> {
        if self.hedge { stop.target.health.read(|pace| pace.whole.reliable_p95()) } else { None }
    }
}

impl Whole {
    /// One call to one model. A good reply comes with the call still open, for the judgement of its form.
    async fn call(
        &self,
        course: &Arc<Course>,
        stop: &Stop,
        prompt: &Arc<Prompt>,
        more: Vec<Turn>,
    ) -> Result<(Reply, Open), Left> {
        let target = &stop.target;
        let more_bytes = more.iter().map(|turn| turn.text.len()).sum();
        let mut open = course.open(stop, size(prompt, target, more_bytes)).await?;
        let call = call(target, prompt, more);
        let span = tracing::info_span!("llm_router.attempt", gen_ai.operation.name = "chat", gen_ai.request.model = %target.name, gen_ai.provider.name = %target.provider_name, copydesk.outcome = tracing::field::Empty);
        let work = target.provider.generate(&call).instrument(span.clone());
        let error = match timeout(open.limit(target.total), work).await {
            Err(_) => ProviderError::new(Outcome::Timeout, "no answer in time"),
            Ok(Err(error)) => error,
            Ok(Ok(reply)) if reply.is_empty() => {
                span.record("copydesk.outcome", Outcome::BadReply.as_str());
                return Err(open.empty(reply.usage).into());
            }
            Ok(Ok(reply)) => {
                span.record("copydesk.outcome", Outcome::Ok.as_str());
                open.wrote(reply.text.len() + reply.reasoning.len());
                return Ok((reply, open));
            }
        };
        span.record("copydesk.outcome", error.outcome.as_str());
        open.failed(&error);
        Err(error.into())
    }
}

impl Found {
    fn of(reply: Reply, open: Open, object: Option<Object>) -> Self {
        let usage = open.done(reply.usage);
        let (text, structured) = match object {
            Some((text, map)) => (text, Some(map)),
            None => (reply.text, None),
        };
        let Reply { stop_reason, tool_calls, reasoning, .. } = reply;
        Self { text, structured, tool_calls, reasoning, stop_reason, usage }
    }
}

impl Desk {
    /// Whether a call is hedged: as it says, or as its task does.
    pub(super) fn hedges(&self, order: &Order) -> bool {
        order.routing.hedging.unwrap_or_else(|| self.catalog().task(order.prompt.task).hedge)
    }
}

/// The call that a model gets.
pub(super) fn call(target: &Target, prompt: &Arc<Prompt>, more: Vec<Turn>) -> Call {
    Call {
        model: target.model.clone(),
        context_tokens: target.context_tokens,
        max_output_tokens: target.clamp(prompt.max_output_tokens),
        prompt: Arc::clone(prompt),
        more,
    }
}

fn degraded_reason(course: &Course, target: &Target, pinned: bool, attempts: &[Attempt]) -> Option<String> {
    const COMPOSED: &str = "the offline writer composed this from the evidence";
    let failed: Vec<_> = attempts
        .iter()
        .filter(|attempt| *attempt.model != *target.name && attempt.outcome != Outcome::Outhedged)
        .map(|attempt| (attempt.model.clone(), attempt.outcome))
        .collect();
    match (target.offline, failed.is_empty()) {
        (false, true) => None,
        (false, false) => Some(format!("a fallback answered: {}", list(&failed))),
        (true, false) => Some(format!("all providers failed: {}; {COMPOSED}", list(&failed))),
        (true, true) if pinned => Some(format!("it was asked for: {COMPOSED}")),
        (true, true) if course.desk.catalog().only_offline() => {
            Some(format!("no model is configured; {COMPOSED}"))
        }
        (true, true) => Some(COMPOSED.to_owned()),
    }
}
