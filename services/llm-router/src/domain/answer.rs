//! What comes back: the text, and how it came to be.
use std::fmt;
use std::str::FromStr;

use copydesk_types::NanoDollars;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Decision, Signal, Tier, ToolCall};

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The text; with a schema the JSON text of `structured`.
    pub text: String,
    /// The validated object, when a schema was given.
    pub structured: Option<Map<String, Value>>,
    /// Tools that the model asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What the model thought aloud.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reasoning: String,
    /// How it came to be.
    pub completion: Completion,
}

impl Answer {
    /// The same answer, marked as given before.
    pub fn replayed(mut self) -> Self {
        self.completion.replayed = true;
        self
    }

    /// The same answer, given to somebody who says the same words: it costs nothing this time.
    pub fn from_cache(mut self) -> Self {
        let completion = &mut self.completion;
        completion.cached = true;
        completion.cost = NanoDollars::default();
        completion.usage = Usage::default();
        completion.attempts.clear();
        self
    }
}

/// How an answer came to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// `<provider>/<model>`.
    pub model: String,
    /// The provider's configured name.
    pub provider: String,
    /// Why the model stopped.
    pub stop_reason: StopReason,
    /// Tokens of the answering call.
    pub usage: Usage,
    /// What all attempts cost together.
    pub cost: NanoDollars,
    /// The version of the price table.
    pub price_version: String,
    /// Every attempt in order, the answering one last.
    pub attempts: Vec<Attempt>,
    /// Why the answer is second best; `None` when it is not.
    pub degraded_reason: Option<String>,
    /// From the call's arrival to its answer, in microseconds.
    pub latency_us: u64,
    /// True when an earlier call with the same id was answered with this.
    #[serde(skip)]
    pub replayed: bool,
    /// The tier of the model that answered; `None` in answers of before there were tiers.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// How the model was chosen.
    #[serde(default)]
    pub decision: Option<Decision>,
    /// True when the same words at temperature 0 were answered with this before.
    #[serde(skip)]
    pub cached: bool,
    /// The part of `latency_us` in which no model was waited for.
    #[serde(default)]
    pub overhead_us: u64,
    /// How long the call waited for a place at its providers.
    #[serde(default)]
    pub queued_us: u64,
    /// From the call's arrival to the first token of a stream; 0 for whole answers.
    #[serde(default)]
    pub first_token_us: u64,
    /// Budgets beyond their soft limit, each as `<subject> <period>`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budget_warnings: Vec<String>,
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It did not say.
    #[default]
    Unspecified,
    /// The text is complete.
    End,
    /// The limit of output tokens was reached.
    Length,
    /// It refused, or a filter did.
    Refusal,
    /// It asks for tools.
    ToolCalls,
}

/// Counted tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read, those from a cache included.
    pub input: u64,
    /// The part of `input` that came from the provider's cache.
    pub cached_input: u64,
    /// Written.
    pub output: u64,
    /// True when we counted, because the provider did not.
    pub estimated: bool,
}

impl Usage {
    /// More tokens than any one call has.
    const MOST: u64 = 1_000_000_000;

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached_input: self.cached_input.saturating_add(other.cached_input),
            output: self.output.saturating_add(other.output),
            estimated: self.estimated || other.estimated,
        }
    }

    /// False for a provider's report that cannot be true.
    pub fn is_plausible(&self) -> bool {
        self.input <= Self::MOST && self.output <= Self::MOST && self.cached_input <= self.input
    }
}

/// One call to one model, finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// `<provider>/<model>`.
    pub model: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Its tokens.
    pub usage: Usage,
    /// Its cost.
    pub cost: NanoDollars,
    /// How long it took, in microseconds.
    pub latency_us: u64,
    /// From its begin to its first token; 0 where there was none, or a whole answer.
    #[serde(default)]
    pub first_token_us: u64,
    /// The provider's HTTP status; 0 when there was none.
    #[serde(default)]
    pub upstream_status: u16,
    /// The tier of the model; `None` in records of before there were tiers.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// When it began, in microseconds after the call's arrival.
    #[serde(default)]
    pub started_us: u64,
    /// True when it was begun because another one was slow.
    #[serde(default)]
    pub hedge: bool,
}

/// How a call to a model ended. The names are part of the contract and of the ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Outcome {
    /// With an answer.
    #[default]
    Ok,
    /// The provider asked for fewer calls.
    RateLimited,
    /// The provider failed.
    ProviderError,
    /// It took too long.
    Timeout,
    /// No connection.
    Unreachable,
    /// The reply made no sense, or did not satisfy the schema.
    BadReply,
    /// The key was not accepted.
    Auth,
    /// The stream broke after its first token.
    StreamBroken,
    /// The provider does not take this input; no other model is tried.
    RefusedInput,
    /// The offline writer does not know the schema.
    SchemaUnsupported,
    /// The caller went away. In the ledger only.
    Cancelled,
    /// The provider does not know the model.
    NotFound,
    /// It was not called: its breaker is open.
    BreakerOpen,
    /// It was not called: no place came free in time.
    QueueFull,
    /// The other of two calls was faster.
    Outhedged,
}

const OUTCOMES: [(Outcome, &str); 15] = [
    (Outcome::Ok, "ok"),
    (Outcome::RateLimited, "RATE_LIMITED"),
    (Outcome::ProviderError, "PROVIDER_ERROR"),
    (Outcome::Timeout, "TIMEOUT"),
    (Outcome::Unreachable, "UNREACHABLE"),
    (Outcome::BadReply, "BAD_REPLY"),
    (Outcome::Auth, "AUTH"),
    (Outcome::StreamBroken, "STREAM_BROKEN"),
    (Outcome::RefusedInput, "REFUSED_INPUT"),
    (Outcome::SchemaUnsupported, "SCHEMA_UNSUPPORTED"),
    (Outcome::Cancelled, "CANCELLED"),
    (Outcome::NotFound, "NOT_FOUND"),
    (Outcome::BreakerOpen, "BREAKER_OPEN"),
    (Outcome::QueueFull, "QUEUE_FULL"),
    (Outcome::Outhedged, "OUTHEDGED"),
];

impl Outcome {
    /// The name in contract, ledger and metrics.
    pub fn as_str(self) -> &'static str {
        OUTCOMES.iter().find(|(outcome, _)| *outcome == self).map_or("PROVIDER_ERROR", |(_, name)| name)
    }

    /// What it says about the model.
    pub fn signal(self) -> Signal {
        match self {
            Outcome::Ok => Signal::Good,
            Outcome::ProviderError
            | Outcome::Timeout
            | Outcome::Unreachable
            | Outcome::BadReply
            | Outcome::StreamBroken
            | Outcome::Auth
            | Outcome::NotFound => Signal::Bad,
            Outcome::RateLimited
            | Outcome::RefusedInput
            | Outcome::SchemaUnsupported
            | Outcome::Cancelled
            | Outcome::BreakerOpen
            | Outcome::QueueFull
            | Outcome::Outhedged => Signal::Neutral,
        }
    }

    /// True when the same model may do better a little later.
    pub fn may_be_repeated(self) -> bool {
        matches!(
            self,
            Outcome::RateLimited
                | Outcome::ProviderError
                | Outcome::Unreachable
                | Outcome::StreamBroken
                | Outcome::QueueFull
        )
    }

    /// True when it may pass by itself.
    pub fn is_transient(self) -> bool {
        self.may_be_repeated() || matches!(self, Outcome::Timeout | Outcome::BreakerOpen | Outcome::BadReply)
    }

    /// True when another model may do better with the same request.
    pub fn another_may_help(self) -> bool {
        !matches!(self, Outcome::Ok | Outcome::RefusedInput | Outcome::Cancelled | Outcome::Outhedged)
    }
}

impl From<Outcome> for &'static str {
    fn from(outcome: Outcome) -> Self {
        outcome.as_str()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not the name of an outcome")]
pub struct UnknownOutcome;

impl FromStr for Outcome {
    type Err = UnknownOutcome;
    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        OUTCOMES.iter().find(|(_, name)| *name == text).map(|(outcome, _)| *outcome).ok_or(UnknownOutcome)
    }
}

impl TryFrom<String> for Outcome {
    type Error = UnknownOutcome;
    fn try_from(text: String) -> Result<Self, UnknownOutcome> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_its_own_name() {
        for (outcome, name) in OUTCOMES {
            assert_eq!(outcome.as_str(), name);
            assert_eq!(name.parse(), Ok(outcome));
        }
        assert!("OK".parse::<Outcome>().is_err());
    }
}
