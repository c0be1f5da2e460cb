//! The strategist: two angles, one chosen.
use serde_json::json;

use super::{ANALYTICAL, Agent, Scene};
use crate::ports::{ModelCall, Task};

/// The strategist.
pub const AGENT: Agent = Agent {
    name: "strategist",
    version: "strategist@1",
    role: "content strategist",
    goal: "find the angle from which the evidence matters most to these readers",
    backstory: "You would rather tell one thing well than five things badly, and you never plan a story that the evidence cannot carry.",
    tools: &[],
    temperature: ANALYTICAL,
};

/// Asks for two angles; the answer has the form of [`crate::domain::output::Strategy`].
pub fn angles(scene: &Scene<'_>) -> ModelCall {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["angles", "chosen"],
        "properties": {
            "angles": {"type": "array", "minItems": 2, "maxItems": 2, "items": {
                "type": "object",
                "additionalProperties": false,
                "required": ["title", "reason"],
                "properties": {"title": {"type": "string"}, "reason": {"type": "string"}}
            }},
            "chosen": {"type": "integer", "minimum": 0, "maximum": 1}
        }
    });
    let instruction = "Propose two different angles for the text: a title of a few words and the reason why it would \
                       hold these readers, in one sentence. Choose the one that the passages carry best; `chosen` is its \
                       index, 0 or 1.";
    scene.call(&AGENT, Task::Strategy, instruction, Some(schema))
}
