//! What is asked for, parsed: nothing here is optional that the contract requires.
use std::sync::Arc;

use bytes::Bytes;
use copydesk_proto::llm_router::v1::{DirectionRule, EmbedPurpose, Role, Task};
use copydesk_proto::types::v1::{ContentType, SourceKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Attribution, Capabilities, Routing, Schema};

/// A call as it came through the door.
#[derive(Debug, Clone)]
pub struct Order {
    /// The caller's idempotency key, if there is one.
    pub request_id: Option<String>,
    /// A hash of the whole request, in hex: what "the same body" means. Empty without an id.
    pub fingerprint: String,
    /// A hash of what is said and how it is routed, in hex, whoever says it: what "the same words" means. `None` when the
    /// answer must be a new one.
    pub words: Option<String>,
    /// For whom.
    pub attribution: Attribution,
    /// The model that must answer, `<provider>/<model>`; `None`: the router chooses.
    pub model: Option<String>,
    /// How to choose.
    pub routing: Routing,
    /// What to write.
    pub prompt: Arc<Prompt>,
}

/// Everything that shapes the text.
#[derive(Debug, Clone, Default)]
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
    /// Nucleus sampling, above 0 to 1.
    pub top_p: Option<f64>,
    /// Texts at which the model stops, 4 at most.
    pub stop: Vec<String>,
    /// What the model may ask for.
    pub tools: Vec<Tool>,
    /// Whether and which tools are asked for.
    pub tool_choice: ToolChoice,
    /// The names of the analyses that `schema` combines, in their order; empty when the call is none of several.
    pub analyses: Vec<String>,
    /// Fields of the provider's own protocol, laid over the request's body.
    pub extra: Map<String, Value>,
}

impl Prompt {
    /// What a model must be able to do to answer this.
    pub fn needs(&self) -> Capabilities {
        let images =
            self.turns.iter().flat_map(|turn| &turn.parts).any(|part| matches!(part, Part::Image(_)));
        let mut needs = Capabilities::CHAT;
        for (needed, one) in [
            (images, Capabilities::IMAGES),
            (!self.tools.is_empty(), Capabilities::TOOLS),
            (self.schema.is_some(), Capabilities::JSON_SCHEMA),
        ] {
            needs = if needed { needs | one } else { needs };
        }
        needs
    }

    /// About how many tokens the turns have: one for every four bytes, which is near enough for English to stand in
    /// when a provider does not count.
    pub fn estimated_tokens(&self) -> u64 {
        let tools: u64 = self.tools.iter().map(Tool::estimated_tokens).sum();
        self.turns.iter().map(Turn::estimated_tokens).sum::<u64>() + tools
    }
}

/// About how many tokens a text of this many bytes has.
pub fn estimate_tokens(bytes: usize) -> u64 {
    bytes.div_ceil(4) as u64
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Who speaks; never unspecified.
    pub role: Role,
    /// What is said; may be empty when there are parts.
    pub text: String,
    /// What follows the text.
    pub parts: Vec<Part>,
}

impl Turn {
    /// A turn of text alone.
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into(), parts: Vec::new() }
    }

    /// About how many tokens it has: its frame is 4, a picture a thousand.
    pub fn estimated_tokens(&self) -> u64 {
        let parts: u64 = self.parts.iter().map(Part::estimated_tokens).sum();
        estimate_tokens(self.text.len()) + 4 + parts
    }
}

/// One part of a message after its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// More text.
    Text(String),
    /// A picture.
    Image(Image),
    /// A tool that the model asked for.
    ToolCall(ToolCall),
    /// What a tool gave.
    ToolResult(ToolResult),
}

impl Part {
    fn estimated_tokens(&self) -> u64 {
        match self {
            Part::Text(text) => estimate_tokens(text.len()),
            Part::Image(_) => IMAGE_TOKENS,
            Part::ToolCall(call) => {
                estimate_tokens(call.name.len() + Value::Object(call.arguments.clone()).to_string().len())
            }
            Part::ToolResult(result) => estimate_tokens(result.text.len()),
        }
    }
}

/// What a picture counts as where its size is not looked at: about what a large one costs at most providers.
const IMAGE_TOKENS: u64 = 1_000;

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `image/png` and the like; empty for an address.
    pub media_type: String,
    /// Where it is.
    pub source: ImageSource,
    /// How closely to look: `low`, `high`, `auto`, or empty.
    pub detail: String,
}

/// Where a picture is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// Here.
    Data(Bytes),
    /// At an address that the provider loads.
    Url(String),
}

/// A tool that a model asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The provider's name for the call, or ours where it has none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Its arguments.
    pub arguments: Map<String, Value>,
}

/// What a tool gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call that it answers.
    pub call_id: String,
    /// The tool's name, known from the call.
    pub name: String,
    /// What it gave.
    pub text: String,
    /// True when the tool failed.
    pub is_error: bool,
}

/// A tool that a model may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// The schema of its arguments.
    pub parameters: Option<Value>,
}

impl Tool {
    fn estimated_tokens(&self) -> u64 {
        let schema = self.parameters.as_ref().map_or(0, |schema| schema.to_string().len());
        estimate_tokens(self.name.len() + self.description.len() + schema)
    }
}

/// Whether and which tools are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// The model decides.
    #[default]
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Named(String),
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
    /// The most tokens to write: what the prompt asks for, as far as the model goes.
    pub max_output_tokens: u32,
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

/// One call for vectors to one model.
#[derive(Debug, Clone)]
pub struct EmbedCall {
    /// The provider's own name of the model.
    pub model: String,
    /// The texts, never empty.
    pub inputs: Vec<String>,
    /// The dimensions asked for.
    pub dimensions: Option<u32>,
    /// What the texts are for.
    pub purpose: EmbedPurpose,
}

/// One call for a ranking to one model.
#[derive(Debug, Clone)]
pub struct RerankCall {
    /// The provider's own name of the model.
    pub model: String,
    /// The query.
    pub query: String,
    /// The documents, never empty.
    pub documents: Vec<String>,
    /// The most results, 1 to the number of documents.
    pub top_n: usize,
}
