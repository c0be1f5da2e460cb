//! What is asked for, parsed: nothing here is optional that the contract requires.
use std::sync::Arc;

use copydesk_proto::llm_router::v1::{DirectionRule, Role, Task};
use copydesk_proto::types::v1::{ContentType, SourceKind};

use super::{Attribution, Schema};

/// A call as it came through the door.
#[derive(Debug, Clone)]
pub struct Order {
    /// The caller's idempotency key, if there is one.
    pub request_id: Option<String>,
    /// A hash of the whole request, in hex: what "the same body" means.
    pub fingerprint: String,
    /// For whom.
    pub attribution: Attribution,
    /// The model that must answer, `<provider>/<model>`; `None`: the router chooses.
    pub model: Option<String>,
    /// What to write.
    pub prompt: Arc<Prompt>,
}

/// Everything that shapes the text.
#[derive(Debug, Clone)]
pub struct Prompt {
    /// What the text is for.
    pub task: Task,
    /// The agent that asks, for example `writer`; may be empty.
    pub agent: String,
    /// The conversation, 1 to 64 turns.
    pub turns: Vec<Turn>,
    /// What the text may rest on.
    pub evidence: Vec<Passage>,
    /// What is to be written, as fields.
    pub brief: Brief,
    /// The form the answer must have.
    pub schema: Option<Schema>,
    /// Sampling temperature, 0 to 2.
    pub temperature: Option<f64>,
    /// The most tokens to write, 1 to 131,072.
    pub max_output_tokens: u32,
}

impl Prompt {
    /// About how many tokens the turns have: one for every four bytes, which is near enough for English to stand in
    /// when a provider does not count.
    pub fn estimated_tokens(&self) -> u64 {
        self.turns.iter().map(|turn| estimate_tokens(turn.text.len()) + 4).sum()
    }
}

/// About how many tokens a text of this many bytes has.
pub fn estimate_tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Who speaks; never unspecified.
    pub role: Role,
    /// What is said.
    pub text: String,
}

/// A passage of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Passage {
    /// `psg_…`, as the caller named it.
    pub id: String,
    /// `doc_…`, as the caller named it.
    pub document_id: String,
    /// The document's title.
    pub title: String,
    /// What kind of source it is.
    pub kind: SourceKind,
    /// Where the text begins in its document, in bytes.
    pub start: u64,
    /// The text.
    pub text: String,
    /// Relevance, comparable within one call only.
    pub score: f64,
}

/// What is to be written.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Brief {
    /// What the text is about.
    pub topic: String,
    /// What kind of content it is.
    pub content_type: ContentType,
    /// The brand's voice in a few words.
    pub voice: String,
    /// The brand's name.
    pub brand: String,
    /// The text under work.
    pub draft: String,
    /// The chosen angle.
    pub angle: String,
    /// What to heed, most important first.
    pub directions: Vec<Direction>,
}

/// Something to heed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direction {
    /// In words.
    pub text: String,
    /// In a form that needs no model.
    pub rule: DirectionRule,
    /// The rule's number.
    pub limit: u32,
    /// The rule's phrase.
    pub phrase: String,
}

/// One call to one model.
#[derive(Debug, Clone)]
pub struct Call {
    /// The provider's own name of the model.
    pub model: String,
    /// The model's context window in tokens; 0 when unknown.
    pub context_tokens: u32,
    /// What to write.
    pub prompt: Arc<Prompt>,
    /// Turns after the prompt's own: a repair round.
    pub more: Vec<Turn>,
}

impl Call {
    /// All turns in order.
    pub fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.prompt.turns.iter().chain(&self.more)
    }
}
