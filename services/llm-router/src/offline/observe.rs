//! What can be measured about how a brand writes, from what it has published.
use copydesk_guard::text;
use copydesk_proto::types::v1::SourceKind;
use serde_json::{Value, json};

use super::Desk;
use super::review::body;
use super::rules::count;

/// `{observations: […]}`.
pub(super) fn object(desk: &Desk<'_>) -> Value {
    json!({"observations": observations(desk)})
}

fn observations(desk: &Desk<'_>) -> Vec<String> {
    let evidence = &desk.prompt.evidence;
    let posts: Vec<&str> =
        evidence.iter().filter(|p| p.kind == SourceKind::Post).map(|p| p.text.as_str()).collect();
    let (what, texts) = match posts.is_empty() {
        false => ("posts", posts),
        true => ("passages", evidence.iter().map(|p| p.text.as_str()).collect()),
    };
    let mut found = Vec::new();
    let voice = desk.prompt.brief.voice.trim();
    if !voice.is_empty() {
        found.push(format!("The brand describes its voice as: {voice}."));
    }
    let written: Vec<Vec<&str>> = texts.iter().map(|t| body(t)).filter(|s| !s.is_empty()).collect();
    if written.is_empty() {
        return found;
    }
    let all = written.len();
    let sentences: Vec<&str> = written.iter().flatten().copied().collect();
    let words: usize = sentences.iter().map(|s| count(s)).sum();
    found.push(format!(
        "Sentences have {} words on average.",
        (words + sentences.len() / 2) / sentences.len()
    ));
    let numbers = written.iter().filter(|s| s[0].contains(|c: char| c.is_ascii_digit())).count();
    found.push(format!("{numbers} of {all} {what} begin with a sentence that carries a number."));
    let questions = written.iter().filter(|s| s.iter().rev().take(2).any(|s| s.ends_with('?'))).count();
    found.push(format!("{questions} of {all} {what} end with a question."));
    let first_person = sentences.iter().filter(|s| speaks_as_we(s)).count();
    found.push(format!("{first_person} of {} sentences speak as \"we\".", sentences.len()));
    found
}

fn speaks_as_we(sentence: &str) -> bool {
    text::words(sentence).iter().any(|w| matches!(w.lower.as_str(), "we" | "our" | "us"))
}
