//! What a call and its answer are, without any transport, clock or storage.
mod answer;
mod breaker;
mod budget;
mod cache_key;
mod call;
mod capability;
mod combined;
mod decision;
mod ledger;
mod pace;
mod ranking;
mod retry;
mod route;
mod structured;
mod tokens;
mod vectors;
mod window;

pub use answer::{Answer, Attempt, Completion, Outcome, StopReason, Usage};
pub use breaker::{Breaker, BreakerRules, BreakerState, Signal, Ticket};
pub use budget::{
    Budget, BudgetKey, Limits, Period, Slice, Standing, SubjectKind, Window, date, reconciled, slice_of,
};
pub use cache_key::{CacheKey, CacheKind};
pub use call::{
    Brief, Call, Direction, EmbedCall, Image, ImageSource, Order, Part, Passage, Prompt, RerankCall, Tool,
    ToolCall, ToolChoice, ToolResult, Turn, estimate_tokens,
};
pub use capability::Capabilities;
pub use combined::{Analysis, CombineFault, Combined, Parts, combine, split};
pub use decision::{Candidate, Decision, Routing, Strategy, Tier, Verdict, Weights};
pub use ledger::{
    Attribution, CostBreakdown, CostGroup, Dimension, Entry, StoredAnswer, UsageCursor, UsageFilter, UsageRow,
};
pub use pace::{Latencies, Pace};
pub use ranking::{RankingFault, RerankOrder, check_ranking};
pub use retry::{Backoff, RetryBudget};
pub use route::{Ask, ModelFacts, ModelState, decide};
pub use structured::{Schema, repair_turns};
pub use tokens::{Encoding, TokenCount, count_tokens};
pub use vectors::{
    Distinct, EmbedOrder, VectorFault, batches, check_vectors, decode_vector, embedding_key, encode_vector,
};
pub use window::{Place, RateWindow, Rates};
