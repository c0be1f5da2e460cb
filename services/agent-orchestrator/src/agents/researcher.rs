//! The researcher: what the evidence says about the topic.
use serde::Deserialize;
use serde_json::json;

use super::{ANALYTICAL, Agent, Scene};
use crate::domain::output::Finding;
use crate::ports::{ModelCall, Task};

/// The researcher.
pub const AGENT: Agent = Agent {
    name: "researcher",
    version: "researcher@2",
    role: "researcher",
    goal: "find what the brand's own documents say about the topic, and where they say it",
    backstory: "You have read too many texts that were made up. You quote, you count, and you leave out what you cannot point at.",
    tools: &["knowledge_search", "web_search"],
    temperature: ANALYTICAL,
};

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct Answer {
    /// What the evidence says.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// Asks for findings.
pub fn findings(scene: &Scene<'_>) -> ModelCall {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["findings"],
        "properties": {"findings": {"type": "array", "maxItems": 12, "items": {
            "type": "object",
            "additionalProperties": false,
            "required": ["statement", "passage_id"],
            "properties": {"statement": {"type": "string"}, "passage_id": {"type": "string"}}
        }}}
    });
    let instruction = "List what the passages say about the topic: one short statement each, close to the words of the \
                       passage, with the id of the passage. At most 12, the most telling first.";
    scene.call(&AGENT, Task::Research, instruction, Some(schema))
}
