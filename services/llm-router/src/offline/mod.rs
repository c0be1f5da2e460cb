//! The offline writer: real text for every task from the sentences of the evidence, and from nothing else.
//!
//! A sentence is used word for word, so the guard finds it again and cites it. What is added is form: order, blank
//! lines, headings made of titles and of the topic, a question made of the topic. Nothing here is random: the same
//! call gives the same text. Not here: models, prompts (they are not read, except to find out what is asked).
mod answer;
mod blog;
mod deixis;
mod evidence;
mod finish;
mod form;
mod headings;
mod nouns;
mod observe;
mod phrasing;
mod rank;
mod research;
mod review;
mod rules;
mod short;
mod standing;
mod strategy;
mod tally;
mod topic;
mod verbs;

use copydesk_proto::llm_router::v1::{Role, Task};
use copydesk_proto::types::v1::ContentType;

use crate::domain::Prompt;
use evidence::Sentence;
use form::Shape;
use rules::Rules;

pub use form::Unsupported;

/// Everything that a composition works with.
struct Desk<'a> {
    prompt: &'a Prompt,
    rules: Rules,
    /// What may be used, in reading order.
    pool: Vec<Sentence>,
    /// What is asked about: the topic, or the last thing that the user said.
    query: String,
}

/// Writes the answer to a prompt.
///
/// # Errors
/// The prompt has a schema that the writer does not know how to fill.
pub fn compose(prompt: &Prompt) -> Result<String, Unsupported> {
    let shape = prompt.schema.as_ref().map(|schema| Shape::of(schema.json())).transpose()?;
    let desk = Desk {
        prompt,
        rules: Rules::of(prompt),
        pool: evidence::gather(&prompt.evidence),
        query: query(prompt),
    };
    let Some(shape) = shape else { return Ok(desk.text()) };
    let full = match shape {
        Shape::Findings => research::object(&desk),
        Shape::Angles => strategy::object(&desk),
        Shape::Review => review::object(&desk),
        Shape::Finish => finish::object(&desk),
        Shape::Observations => observe::object(&desk),
    };
    let schema = prompt.schema.as_ref().map_or(&serde_json::Value::Null, |schema| schema.json());
    form::fit(full, schema).map(|value| value.to_string())
}

impl Desk<'_> {
    fn text(&self) -> String {
        match self.prompt.task {
            Task::Draft | Task::Revise => self.draft(),
            Task::Research => research::text(self),
            Task::Strategy => strategy::text(self),
            Task::Review => review::text(self),
            Task::Finish => finish::lines(self),
            Task::Unspecified | Task::Qualification | Task::SimpleParsing | Task::Judge => answer::text(self),
        }
    }

    fn draft(&self) -> String {
        if self.pool.is_empty() {
            return self.without_evidence();
        }
        match self.prompt.brief.content_type {
            ContentType::Blog => blog::write(self),
            ContentType::Ad => short::write(self, &short::AD),
            ContentType::Social | ContentType::Unspecified => short::write(self, &short::SOCIAL),
        }
    }

    /// A draft under revision can still be cut by the rules; without one there is nothing honest to write.
    fn without_evidence(&self) -> String {
        let draft = if self.prompt.task == Task::Revise { self.prompt.brief.draft.as_str() } else { "" };
        let kept = self.rules.cut(draft);
        if kept.trim().is_empty() { answer::nothing(&self.query) } else { kept }
    }

    /// The pool, best first.
    fn ranked(&self) -> Vec<rank::Scored<'_>> {
        let brief = &self.prompt.brief;
        let draft = if self.prompt.task == Task::Revise { brief.draft.as_str() } else { "" };
        rank::rank(&self.pool, &rank::Query { text: &self.query, angle: &brief.angle, draft }, &self.rules)
    }
}

fn query(prompt: &Prompt) -> String {
    let topic = phrasing::plain(&prompt.brief.topic);
    if !topic.is_empty() {
        return topic;
    }
    let asked = prompt.turns.iter().rev().find(|turn| turn.role == Role::User);
    asked.map(|turn| phrasing::plain(&turn.text)).unwrap_or_default()
}
