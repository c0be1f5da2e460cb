//! The reviewer: a score and what to mend.
use serde_json::json;

use super::prompt::form;
use super::{ANALYTICAL, Agent, Scene};
use crate::ports::{ModelCall, Task};

/// The reviewer.
pub const AGENT: Agent = Agent {
    name: "reviewer",
    version: "reviewer@1",
    role: "reviewer",
    goal: "let nothing pass that is dull, off the brief or not borne out by the passages",
    backstory: "You score what is on the page, not what was meant, and each of your notes can be acted on.",
    tools: &[],
    temperature: ANALYTICAL,
};

/// Asks for a review of the scene's draft; the answer has the form of [`crate::domain::output::Review`].
pub fn review(scene: &Scene<'_>) -> ModelCall {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["score", "notes"],
        "properties": {
            "score": {"type": "number", "minimum": 0, "maximum": 10},
            "notes": {"type": "array", "maxItems": 8, "items": {"type": "string"}}
        }
    });
    let instruction = format!(
        "Score the draft from 0 to 10. It should be {}; follow the brief and every direction; say nothing that the \
         passages do not say. 9 is excellent, 8 is good, below 7 must be written again. Note what to mend, one thing a \
         note; none when there is nothing.",
        form(scene.spec.content_type)
    );
    scene.call(&AGENT, Task::Review, &instruction, Some(schema))
}
