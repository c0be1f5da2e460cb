//! The writer: drafts, rewrites, and what is set around a finished text.
use serde_json::json;

use super::prompt::form;
use super::{Agent, CREATIVE, Scene};
use crate::ports::{ModelCall, Task};

/// The writer.
pub const AGENT: Agent = Agent {
    name: "writer",
    version: "writer@1",
    role: "writer",
    goal: "write a text in the brand's voice that readers finish, in which every fact can be pointed at",
    backstory: "You were a reporter: short words, active verbs, the news first, and no adjective that a number could replace.",
    tools: &[],
    temperature: CREATIVE,
};

/// Asks for the first draft.
pub fn draft(scene: &Scene<'_>) -> ModelCall {
    let instruction = format!(
        "Write {}. Follow the angle, the voice and every direction. Answer with the text alone.",
        form(scene.spec.content_type)
    );
    scene.call(&AGENT, Task::Draft, &instruction, None)
}

/// Asks for a better version of the scene's draft.
pub fn revision(scene: &Scene<'_>) -> ModelCall {
    let instruction = format!(
        "Write the draft again so that it follows every direction, and keep what is good in it. It stays {}. Answer with \
         the text alone.",
        form(scene.spec.content_type)
    );
    scene.call(&AGENT, Task::Revise, &instruction, None)
}

/// Asks for hook, hashtags and caption; the answer has the form of [`crate::domain::output::Finish`].
pub fn finish(scene: &Scene<'_>) -> ModelCall {
    let schema = json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["hook", "hashtags", "caption"],
        "properties": {
            "hook": {"type": "string"},
            "hashtags": {"type": "array", "maxItems": 5, "items": {"type": "string"}},
            "caption": {"type": "string"}
        }
    });
    let instruction = "The draft is finished; do not change it. Give it a hook (one sentence to stand before it: a \
                       question, a figure, a story, a surprise or a promise to show how; empty if its first sentence does \
                       that already), three to five hashtags, and a caption (one sentence that sums it up).";
    scene.call(&AGENT, Task::Finish, instruction, Some(schema))
}
