//! What a call and its answer are, without any transport, clock or storage.
mod answer;
mod budget;
mod call;
mod capability;
mod decision;
mod ledger;
mod structured;

pub use answer::{Answer, Attempt, Completion, Outcome, StopReason, Usage};
pub use budget::{
    Budget, BudgetKey, Limits, Period, Slice, Standing, SubjectKind, Window, date, reconciled, slice_of,
};
pub use call::{
    Brief, Call, Direction, EmbedCall, Image, ImageSource, Order, Part, Passage, Prompt, RerankCall, Tool,
    ToolCall, ToolChoice, ToolResult, Turn, estimate_tokens,
};
pub use capability::Capabilities;
pub use decision::{Candidate, Decision, Routing, Strategy, Tier, Verdict};
pub use ledger::{
    Attribution, CostBreakdown, CostGroup, Dimension, Entry, StoredAnswer, UsageCursor, UsageFilter, UsageRow,
};
pub use structured::{Schema, repair_turns};
