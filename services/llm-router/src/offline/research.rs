//! Findings: the sentences that say most about the topic, each with its passage.
use serde_json::{Value, json};

use super::rank::{Scored, pick};
use super::{Desk, answer};

/// How many findings are enough for any text.
const MOST: usize = 12;

fn findings<'a>(desk: &'a Desk<'_>) -> Vec<Scored<'a>> {
    let ranked = desk.ranked();
    let mut chosen = Vec::new();
    pick(&ranked, &mut chosen, |_, chosen| chosen.len() < MOST);
    chosen
}

/// `{findings: [{statement, passage_id}]}`.
pub(super) fn object(desk: &Desk<'_>) -> Value {
    let list: Vec<Value> = findings(desk)
        .iter()
        .map(|s| json!({"statement": s.sentence.text, "passage_id": s.sentence.passage_id}))
        .collect();
    json!({"findings": list})
}

/// The same as a list.
pub(super) fn text(desk: &Desk<'_>) -> String {
    let lines: Vec<String> = findings(desk).iter().map(|s| format!("- {}", s.sentence.text)).collect();
    if lines.is_empty() { answer::nothing(&desk.query) } else { lines.join("\n") }
}
