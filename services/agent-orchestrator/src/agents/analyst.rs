//! The analyst: how the brand writes.
use serde::Deserialize;
use serde_json::json;

use super::{ANALYTICAL, Agent, Scene};
use crate::ports::{ModelCall, Task};

/// The analyst.
pub const AGENT: Agent = Agent {
    name: "analyst",
    version: "analyst@1",
    role: "brand analyst",
    goal: "say in a few plain sentences how this brand writes, so that a writer can do likewise",
    backstory: "You listen for rhythm, length and favourite words, and you trust measured figures over impressions.",
    tools: &["knowledge_search", "brand_metrics", "lessons"],
    temperature: ANALYTICAL,
};

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Answer {
    /// How the brand writes.
    #[serde(default)]
    pub observations: Vec<String>,
}

/// Asks for observations on texts that the brand has published.
pub fn observations(scene: &Scene<'_>) -> ModelCall {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["observations"],
        "properties": {"observations": {"type": "array", "maxItems": 6, "items": {"type": "string"}}}
    });
    let instruction = "The passages are texts that the brand has published. Say how it writes: length and rhythm of \
                       sentences, openings, favourite words, how it addresses readers. At most 6 observations about the \
                       manner, none about the subject.";
    scene.call(&AGENT, Task::Research, instruction, Some(schema))
}
