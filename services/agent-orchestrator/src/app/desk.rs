//! What a step works with: models and tools whose finished calls are remembered, so that a repeated step repeats
//! none of them.
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use copydesk_rpc::ServiceError;
use copydesk_types::NanoDollars;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::App;
use crate::agents::{AGENTS, Scene};
use crate::domain::output::{Finished, MadeBy, research};
use crate::domain::passage::Passage;
use crate::domain::run::{Run, Usage};
use crate::domain::spec::is_exhausted;
use crate::error::StepError;
use crate::ports::{Call, Claim, ModelCall, ModelReply, Place};
use crate::tools::Tool;

/// One step's desk.
pub(super) struct Desk<'a> {
    pub(super) app: &'a App,
    pub(super) run: &'a Run,
    pub(super) finished: &'a Finished,
    pub(super) claim: &'a Claim,
    made_by: Mutex<MadeBy>,
}

impl<'a> Desk<'a> {
    pub(super) fn new(app: &'a App, run: &'a Run, finished: &'a Finished, claim: &'a Claim) -> Self {
        Self { app, run, finished, claim, made_by: Mutex::default() }
    }

    /// The models that were used at this desk.
    pub(super) fn made_by(self) -> MadeBy {
        self.made_by.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The passages that the run rests on.
    pub(super) fn passages(&self) -> &'a [Passage] {
        research(self.finished).map_or(&[], |r| &r.passages)
    }

    /// A scene with the run's passages.
    pub(super) fn scene(&self) -> Scene<'a> {
        self.scene_with(self.passages())
    }

    /// A scene with other passages.
    pub(super) fn scene_with<'p>(&self, passages: &'p [Passage]) -> Scene<'p>
    where
        'a: 'p,
    {
        Scene::new(&self.run.spec, &self.run.brand, passages)
    }

    /// Asks a model for an answer by schema.
    pub(super) async fn ask<T: DeserializeOwned>(&self, key: &str, call: &ModelCall) -> Result<T, StepError> {
        let reply = self.call_model(key, call, false).await?;
        let answer = reply.structured.ok_or_else(|| bad_answer("the answer has no structured part"))?;
        serde_json::from_value(answer).map_err(|_| bad_answer("the answer does not have the form asked for"))
    }

    /// Has a model write a text; watchers see it grow.
    pub(super) async fn write(&self, key: &str, call: &ModelCall) -> Result<String, StepError> {
        let reply = self.call_model(key, call, true).await?;
        if reply.text.trim().is_empty() {
            return Err(bad_answer("the text is empty"));
        }
        Ok(reply.text)
    }

    /// Calls a model, or gives what it answered before.
    pub(super) async fn call_model(
        &self,
        key: &str,
        call: &ModelCall,
        stream: bool,
    ) -> Result<ModelReply, StepError> {
        let hash = digest(call)?;
        let memo = self.memo(key, &hash);
        let reply = match self.recall::<ModelReply>(&memo).await? {
            Some(reply) => {
                if stream {
                    self.publish(&reply.text);
                }
                reply
            }
            None => {
                self.check_budget().await?;
                let request_id = format!("{}/{}/{key}/{hash}", self.run.run_id, self.claim.step);
                let place = Place { step: Some((self.run.run_id, self.claim.step)), request_id };
                let model = &self.app.ports.model;
                let reply = if stream {
                    model.stream(&place, call, &|text| self.publish(text)).await?
                } else {
                    model.generate(&place, call).await?
                };
                self.remember(&memo, &reply, reply.cost_nanos, reply.usage).await?;
                reply
            }
        };
        let mut made_by = self.made_by.lock().unwrap_or_else(PoisonError::into_inner);
        made_by.note(&reply.model, reply.degraded.as_deref());
        if reply.refused {
            Err(StepError::fatal("MODEL_REFUSED", "the model refused to answer"))
        } else {
            Ok(reply)
        }
    }

    /// Calls a tool. Only an agent that the tool names may.
    pub(super) async fn tool<I, O, W>(
        &self,
        tool: &Tool,
        key: &str,
        input: &I,
        work: W,
    ) -> Result<O, StepError>
    where
        I: Serialize + Sync,
        O: Serialize + DeserializeOwned,
        W: Future<Output = Result<O, ServiceError>>,
    {
        let agent = self.claim.step.agent();
        let granted = AGENTS.iter().any(|a| a.name == agent && a.tools.contains(&tool.name));
        if !granted || !tool.agents.contains(&agent) {
            return Err(StepError::fatal("TOOL_NOT_ALLOWED", format!("{agent} may not call {}", tool.name)));
        }
        let hash = digest(input)?;
        let memo = self.memo(key, &hash);
        if let Some(output) = self.recall(&memo).await? {
            return Ok(output);
        }
        let output = work.await?;
        self.remember(&memo, &output, 0, Usage::default()).await?;
        Ok(output)
    }

    fn memo<'k>(&self, call_key: &'k str, input_hash: &'k str) -> Call<'k> {
        let (tenant, run_id, step) = (self.run.tenant, self.run.run_id, self.claim.step);
        Call { tenant, run_id, step, call_key, input_hash }
    }

    async fn recall<T: DeserializeOwned>(&self, memo: &Call<'_>) -> Result<Option<T>, StepError> {
        let text = self.app.ports.store.recall(memo).await?;
        let unreadable = |_| StepError::fatal("INTERNAL", "a remembered call cannot be read");
        text.map(|text| serde_json::from_str(&text).map_err(unreadable)).transpose()
    }

    async fn remember<T: Serialize>(
        &self,
        memo: &Call<'_>,
        output: &T,
        cost_nanos: i64,
        usage: Usage,
    ) -> Result<(), StepError> {
        let text = serde_json::to_string(output).map_err(|_| unwritable())?;
        Ok(self.app.ports.store.remember(memo, &text, cost_nanos, usage, self.app.now()).await?)
    }

    fn publish(&self, text: &str) {
        self.app.board.of(self.run.run_id).write(self.claim.step, self.claim.attempt, text);
    }

    /// A model is called only while the run's budget lasts.
    async fn check_budget(&self) -> Result<(), StepError> {
        let Some(budget) = self.run.spec.budget_nanos else { return Ok(()) };
        let fresh = self.app.ports.store.get(self.run.tenant, self.run.run_id).await?;
        let spent = fresh.map_or(self.run.spent_nanos, |run| run.spent_nanos);
        if is_exhausted(budget, spent) {
            let (spent, budget) = (NanoDollars(spent), NanoDollars(budget));
            let message = format!("the run has spent {spent} of its budget of {budget}");
            return Err(StepError::fatal(BUDGET_EXHAUSTED, message));
        }
        Ok(())
    }
}

/// The reason of a run that has spent its budget.
pub(super) const BUDGET_EXHAUSTED: &str = "BUDGET_EXHAUSTED";

/// What a call is remembered by: 16 hexadecimal digits of what was asked.
fn digest<T: Serialize>(input: &T) -> Result<String, StepError> {
    let text = serde_json::to_vec(input).map_err(|_| unwritable())?;
    Ok(blake3::hash(&text).to_hex()[..16].to_owned())
}

fn bad_answer(message: &str) -> StepError {
    StepError::fatal("BAD_ANSWER", message)
}

fn unwritable() -> StepError {
    StepError::fatal("INTERNAL", "a call cannot be written down")
}
