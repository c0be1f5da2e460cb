//! A model.
use async_trait::async_trait;
use copydesk_rpc::ServiceError;
use copydesk_types::RunId;
use serde::{Deserialize, Serialize};

use crate::domain::direction::Direction;
use crate::domain::passage::Passage;
use crate::domain::run::Usage;
use crate::domain::spec::ContentType;
use crate::domain::step::StepKey;

/// What a model is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Find what the evidence says.
    Research,
    /// Propose angles.
    Strategy,
    /// Write a first draft.
    Draft,
    /// Score a draft.
    Review,
    /// Write a draft again.
    Revise,
    /// Hook, hashtags, caption.
    Finish,
    /// Say of claims whether the sources bear them out.
    Judge,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// True for the application's instructions, false for the task at hand.
    pub system: bool,
    /// The words.
    pub text: String,
}

/// What is to be written, as fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Brief {
    /// What it is about.
    pub topic: String,
    /// What kind of content.
    pub content_type: ContentType,
    /// Readers.
    pub audience: String,
    /// Voice.
    pub voice: String,
    /// Tone.
    pub tone: String,
    /// Style.
    pub style: String,
    /// BCP 47 tag.
    pub language: String,
    /// The brand's name.
    pub brand: String,
    /// The text under work; empty before there is one.
    pub draft: String,
    /// The chosen angle; empty before there is one.
    pub angle: String,
    /// What to heed, most important first.
    pub directions: Vec<Direction>,
}

/// A call of a model. Its serialised form is what the call is remembered by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelCall {
    /// What for.
    pub task: Task,
    /// Who asks: an agent's name.
    pub agent: &'static str,
    /// The version of the agent, for example `writer@1`.
    pub agent_version: &'static str,
    /// The prompt.
    pub messages: Vec<Message>,
    /// What the answer may rest on.
    pub evidence: Vec<Passage>,
    /// What is to be written; `None` where nothing is.
    pub brief: Option<Brief>,
    /// JSON schema of the answer; `None` for plain text.
    pub schema: Option<serde_json::Value>,
    /// 0 to 2.
    pub temperature: f64,
    /// The most tokens to write.
    pub max_output_tokens: u32,
}

/// Where a call belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The run and its step; `None` for a call outside of runs.
    pub step: Option<(RunId, StepKey)>,
    /// The key under which the router remembers the answer, at most 128 characters.
    pub request_id: String,
}

/// A model's answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelReply {
    /// The text.
    pub text: String,
    /// The answer by schema, when one was given.
    pub structured: Option<serde_json::Value>,
    /// `<provider>/<model>`.
    pub model: String,
    /// Nano-dollars.
    pub cost_nanos: i64,
    /// Tokens.
    pub usage: Usage,
    /// Why the answer is degraded; `None` when it is not.
    pub degraded: Option<String>,
    /// True when the provider refused to answer.
    pub refused: bool,
}

/// A model, by way of the router.
#[async_trait]
pub trait LanguageModel: Send + Sync {
    /// One whole answer.
    async fn generate(&self, place: &Place, call: &ModelCall) -> Result<ModelReply, ServiceError>;

    /// An answer as it is written: `heard` gets each piece of text, in order. A stream that breaks is an error.
    async fn stream(
        &self,
        place: &Place,
        call: &ModelCall,
        heard: &(dyn for<'t> Fn(&'t str) + Send + Sync),
    ) -> Result<ModelReply, ServiceError>;
}
