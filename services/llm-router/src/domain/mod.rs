//! What a call and its answer are, without any transport, clock or storage.
mod answer;
mod call;
mod capability;
mod decision;
mod ledger;
mod route;
mod structured;

pub use answer::{Answer, Attempt, Completion, Outcome, StopReason, Usage};
pub use call::{
    Brief, Call, Direction, EmbedCall, Image, ImageSource, Order, Part, Passage, Prompt, RerankCall, Tool,
    ToolCall, ToolChoice, ToolResult, Turn, estimate_tokens,
};
pub use capability::Capabilities;
pub use decision::{Candidate, Decision, Routing, Strategy, Tier, Verdict, Weights};
pub use ledger::{Attribution, StoredAnswer, UsageCursor, UsageRow};
pub use route::{Ask, ModelFacts, ModelState, decide};
pub use structured::{Schema, repair_turns};
