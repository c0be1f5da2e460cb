//! The way down the chain: every model once, the failed ones again after a while, the offline writer last. Who fails over
//! first and repeats later wastes no time on a dead model while another one lives.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use super::course::{Course, Left, Stop};
use crate::domain::{Backoff, Outcome, Tier};
use crate::error::{Error, Failure};
use crate::providers::ProviderError;

/// What is wanted of a model.
#[async_trait]
pub(super) trait Errand: Send + Sync {
    /// What it gives.
    type Gain: Send;

    /// Asks one model.
    async fn ask(&self, course: &Arc<Course>, stop: &Stop) -> Result<Self::Gain, Left>;

    /// After which time a second model is asked too; `None`: never.
    fn hedge_after(&self, _stop: &Stop) -> Option<Duration> {
        None
    }
}

/// How the way is gone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) rounds: u32,
    pub(super) backoff: Backoff,
    /// Repeats per first call.
    pub(super) ratio: f64,
}

/// The models that were tried in vain.
#[derive(Default)]
pub(super) struct Failures {
    list: Vec<Failure>,
    retry_after: Option<Duration>,
    budget: Option<Error>,
}

impl Failures {
    /// Notes a failure; an error when no other model may be tried.
    fn add(&mut self, stop: &Stop, left: Left) -> Result<ProviderError, Option<Error>> {
        let error = match left {
            Left::Failed(error) => error,
            Left::Ended(error) => return Err(Some(error)),
            Left::Budget(error) => {
                self.budget.get_or_insert(error);
                return Err(None);
            }
        };
        let cause = &error as &dyn std::error::Error;
        let (model, outcome) = (&stop.target.name, error.outcome.as_str());
        tracing::warn!(%model, outcome, error = cause, "a model gave no answer");
        let failure = Failure::of(&stop.target.name, &error);
        if !error.outcome.another_may_help() {
            return Err(Some(Error::RefusedInput(failure)));
        }
        self.list.push(failure);
        self.retry_after = match (self.retry_after, error.retry_after) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Ok(error)
    }

    fn into_error(self, course: &Course) -> Error {
        match (self.budget, self.list.as_slice()) {
            // The last model is not to blame when nobody waits any more, and asking again at once is no use.
            (None, _) if course.deadline.is_over() => Error::TooLate { failures: self.list },
            (Some(budget), _) => budget,
            (None, [Failure { outcome: Outcome::SchemaUnsupported, .. }]) => Error::SchemaUnsupported,
            (None, _) => Error::AllFailed { failures: self.list, retry_after: self.retry_after },
        }
    }
}

/// Goes down the chain until a model gives what is wanted; also says which one it was.
pub(super) async fn walk<E: Errand>(
    course: &Arc<Course>,
    stops: &[Stop],
    manner: Manner,
    errand: &E,
) -> Result<(E::Gain, Stop), Error> {
    let mut way = Way { course, manner, errand, failures: Failures::default() };
    let (offline, mut live): (Vec<&Stop>, Vec<&Stop>) =
        stops.iter().partition(|stop| stop.tier == Tier::Offline);
    for round in 0..manner.rounds.max(1) {
        let again = match way.round(round, live).await? {
            Ended::With(gain) => return Ok(*gain),
            Ended::Without(again) => again,
        };
        if again.is_empty() || round + 1 >= manner.rounds {
            break;
        }
        let Some(next) = way.pause(round + 1, again).await else { break };
        live = next;
    }
    // Who may not spend gets no second-rate answer in place of a clear one.
    if way.failures.budget.is_some() {
        return Err(way.failures.into_error(course));
    }
    match way.round(0, offline).await? {
        Ended::With(gain) => Ok(*gain),
        Ended::Without(_) => Err(way.failures.into_error(course)),
    }
}

/// A model that may be asked again, and when its provider said to come.
type Again<'a> = (&'a Stop, Option<Duration>);

struct Way<'a, E> {
    course: &'a Arc<Course>,
    manner: Manner,
    errand: &'a E,
    failures: Failures,
}

enum Ended<'a, G> {
    With(Box<(G, Stop)>),
    /// With the models that may be asked again.
    Without(Vec<Again<'a>>),
}

impl<E: Errand> Way<'_, E> {
    /// Waits before a round; the models that may be asked then. `None` when there is no time for it.
    async fn pause<'s>(&self, round: u32, again: Vec<Again<'s>>) -> Option<Vec<&'s Stop>> {
        // Where one of them said nothing, the others' wishes need not be waited for: they are left out of the round.
        let asked = again.iter().map(|(_, asked)| *asked).min().flatten();
        let wait = self.manner.backoff.wait(round, fastrand::f64(), asked)?;
        if self.course.deadline.left().is_some_and(|left| left <= wait) {
            return None;
        }
        self.course.paused(wait);
        sleep(wait).await;
        Some(
            again
                .into_iter()
                .filter(|(_, asked)| asked.is_none_or(|asked| asked <= wait))
                .map(|(stop, _)| stop)
                .collect(),
        )
    }

    /// Each of these models once.
    async fn round<'s>(&mut self, round: u32, stops: Vec<&'s Stop>) -> Result<Ended<'s, E::Gain>, Error> {
        let mut again = Vec::new();
        let mut hedged = None;
        for (n, stop) in stops.iter().copied().enumerate() {
            if hedged.is_some_and(|at| at == n) {
                continue;
            }
            if self.course.deadline.is_over() {
                break;
            }
            let provider = &stop.target.provider_health;
            if round == 0 {
                provider.deposit(self.manner.ratio);
            } else if !provider.take_retry() {
                continue;
            }
            let second = stops.get(n + 1).copied().filter(|_| n == 0 && round == 0);
            let (asked, result) = match (second, self.errand.hedge_after(stop)) {
                (Some(second), Some(after)) => {
                    let raced = self.race(stop, second, after).await;
                    hedged = raced.second_failed.is_some().then_some(n + 1);
                    if let Some(left) = raced.second_failed {
                        self.note(second, left, &mut again)?;
                    }
                    (raced.stop, raced.result)
                }
                _ => (stop.clone(), self.errand.ask(self.course, stop).await),
            };
            match result {
                Ok(gain) => return Ok(Ended::With(Box::new((gain, asked)))),
                Err(left) => self.note(stop, left, &mut again)?,
            }
        }
        Ok(Ended::Without(again))
    }

    fn note<'s>(&mut self, stop: &'s Stop, left: Left, again: &mut Vec<Again<'s>>) -> Result<(), Error> {
        match self.failures.add(stop, left) {
            Ok(error) if error.outcome.may_be_repeated() => again.push((stop, error.retry_after)),
            Ok(_) | Err(None) => {}
            Err(Some(error)) => return Err(error),
        }
        Ok(())
    }

    /// Asks the first model, and the second too when the first takes longer than usual.
    async fn race(&self, first: &Stop, second: &Stop, after: Duration) -> Race<E::Gain> {
        // Flags of their own: that one lost this race says nothing about another round.
        let first = &Stop { lost: Arc::new(AtomicBool::new(false)), ..first.clone() };
        let hedge = Stop { hedge: true, lost: Arc::new(AtomicBool::new(false)), ..second.clone() };
        let mut one = self.errand.ask(self.course, first);
        let began = Instant::now();
        tokio::select! {
            result = &mut one => return Race { stop: first.clone(), result, second_failed: None },
            () = sleep(after) => {}
        }
        tracing::info!(model = %first.target.name, hedge = %second.target.name, waited_ms = began.elapsed().as_millis() as u64, "hedging");
        self.course.desk.metrics.hedged(&first.target.name);
        let mut two = self.errand.ask(self.course, &hedge);
        tokio::select! {
            result = &mut one => match result {
                Ok(gain) => {
                    hedge.lost.store(true, Ordering::Release);
                    Race { stop: first.clone(), result: Ok(gain), second_failed: None }
                }
                Err(left) => match two.await {
                    Ok(gain) => Race { stop: hedge.clone(), result: Ok(gain), second_failed: None },
                    Err(other) => Race { stop: first.clone(), result: Err(left), second_failed: Some(other) },
                },
            },
            result = &mut two => match result {
                Ok(gain) => {
                    first.lost.store(true, Ordering::Release);
                    Race { stop: hedge.clone(), result: Ok(gain), second_failed: None }
                }
                Err(other) => Race { stop: first.clone(), result: one.await, second_failed: Some(other) },
            },
        }
    }
}

struct Race<G> {
    stop: Stop,
    result: Result<G, Left>,
    second_failed: Option<Left>,
}

#[cfg(test)]
mod tests;
