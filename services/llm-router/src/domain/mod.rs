//! What a call and its answer are, without any transport, clock or storage.
mod answer;
mod call;
mod ledger;
mod structured;

pub use answer::{Answer, Attempt, Completion, Outcome, StopReason, Usage};
pub use call::{Brief, Call, Direction, Order, Passage, Prompt, Turn, estimate_tokens};
pub use ledger::{Attribution, StoredAnswer, UsageCursor, UsageRow};
pub use structured::{Schema, repair_turns};
