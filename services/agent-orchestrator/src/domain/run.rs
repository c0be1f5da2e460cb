//! Runs, steps and events as they are stored.
use copydesk_types::{RunId, TenantId};
use serde::{Deserialize, Serialize};

use super::result::RunResult;
use super::spec::{Brand, RunSpec};
use super::step::StepKey;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Stored, not begun.
    Queued,
    /// At work.
    Running,
    /// Ended with a text.
    Succeeded,
    /// Ended with an error.
    Failed,
    /// Ended by a caller.
    Cancelled,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Waits for a worker.
    Ready,
    /// At work.
    Running,
    /// Done.
    Done,
    /// Given up.
    Failed,
    /// Its run ended before it.
    Cancelled,
}

macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),* $(,)? }) => {
        impl $name {
            /// The word in the database, in metrics and in logs.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// The state with this word.
            pub fn of(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

words!(RunState {
    Queued = "queued",
    Running = "running",
    Succeeded = "succeeded",
    Failed = "failed",
    Cancelled = "cancelled",
});
words!(StepState {
    Ready = "ready",
    Running = "running",
    Done = "done",
    Failed = "failed",
    Cancelled = "cancelled",
});

impl RunState {
    /// True when nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// A stable word.
    pub reason: String,
    /// For a person to read.
    pub message: String,
    /// The step that failed; empty when none did.
    pub step: String,
}

/// A run that is to be stored.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id.
    pub run_id: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The caller's key.
    pub request_id: String,
    /// Digest of what the caller asked for, before defaults.
    pub input_hash: String,
    /// Version of the workflow.
    pub definition: String,
    /// What is to be made, defaults filled in.
    pub spec: RunSpec,
    /// The brand as it was.
    pub brand: Brand,
    /// On whose behalf the work goes on, as the RPC layer wrote it down: opaque here.
    pub delegation: String,
    /// Trace of the creating call; empty when untraced.
    pub trace_id: String,
    /// When it must have ended, in milliseconds since 1970.
    pub deadline_ms: i64,
}

/// A stored run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub run_id: RunId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Digest of what the caller asked for, before defaults.
    pub input_hash: String,
    /// Version of the workflow.
    pub definition: String,
    /// Where it stands.
    pub state: RunState,
    /// What is to be made, defaults filled in.
    pub spec: RunSpec,
    /// The brand as it was.
    pub brand: Brand,
    /// On whose behalf the work goes on, as the RPC layer wrote it down: opaque here.
    pub delegation: String,
    /// Trace of the creating call; empty when untraced.
    pub trace_id: String,
    /// What its model calls cost so far, in nano-dollars.
    pub spent_nanos: i64,
    /// Tokens of its model calls so far.
    pub usage: Usage,
    /// Number of its last event.
    pub last_seq: u64,
    /// Why it failed.
    pub error: Option<RunError>,
    /// What it made.
    pub result: Option<RunResult>,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// When its first step began, in milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// When it ended, in milliseconds since 1970.
    pub finished_ms: Option<i64>,
    /// When it must have ended, in milliseconds since 1970.
    pub deadline_ms: i64,
}

/// Tokens of model calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input_tokens: u64,
    /// The part of them that came from a cache.
    pub cached_input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// True when any count is an estimate.
    pub estimated: bool,
}

/// A stored step.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Its key.
    pub key: StepKey,
    /// Where it stands.
    pub state: StepState,
    /// Attempts begun.
    pub attempts: u32,
    /// When its last attempt began, in milliseconds since 1970.
    pub started_ms: Option<i64>,
    /// When it ended, in milliseconds since 1970.
    pub finished_ms: Option<i64>,
    /// What its model calls cost, in nano-dollars.
    pub cost_nanos: i64,
    /// One line on what came of it.
    pub summary: String,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run changed its state.
    StateChanged {
        /// To what.
        state: RunState,
        /// Why it failed.
        error: Option<RunError>,
    },
    /// A step began an attempt.
    StepStarted {
        /// Which.
        step: StepKey,
        /// From 1.
        attempt: u32,
    },
    /// A step is done.
    StepFinished {
        /// Which.
        step: StepKey,
        /// One line on what came of it.
        summary: String,
        /// What it cost, in nano-dollars.
        cost_nanos: i64,
        /// How long its last attempt took.
        duration_ms: u64,
    },
    /// An attempt failed.
    StepFailed {
        /// Which.
        step: StepKey,
        /// From 1.
        attempt: u32,
        /// A stable word.
        reason: String,
        /// True when another attempt follows.
        will_retry: bool,
    },
}

/// An event with its place in the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// From 1, without gaps.
    pub seq: u64,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    /// What.
    pub event: Event,
}

impl Recorded {
    /// True when nothing follows.
    pub fn is_last(&self) -> bool {
        matches!(&self.event, Event::StateChanged { state, .. } if state.is_final())
    }
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// A final state.
    pub state: RunState,
    /// Why it failed; present exactly when it did.
    pub error: Option<RunError>,
    /// What it made; present exactly when it succeeded.
    pub result: Option<RunResult>,
}

impl Ending {
    /// The end of a run that failed.
    pub fn failed(error: RunError) -> Self {
        Self { state: RunState::Failed, error: Some(error), result: None }
    }

    /// The end of a run that a caller cancelled.
    pub fn cancelled() -> Self {
        Self { state: RunState::Cancelled, error: None, result: None }
    }
}
