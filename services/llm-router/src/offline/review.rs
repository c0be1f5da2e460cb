//! A review by rules: what can be measured about a draft, and what to mend. The notes are worded so that the writer
//! understands them again as rules.
use std::collections::BTreeSet;

use copydesk_guard::text;
use copydesk_proto::types::v1::ContentType;
use serde_json::{Value, json};

use super::rules::{Opening, count};
use super::{Desk, answer, phrasing};

/// The mean length of a sentence from which on a text is hard to read, in words.
const LONG: usize = 24;

/// The most a draft gets that says nothing about its topic: well below what passes.
const UNCOVERED: f64 = 3.0;

/// Points off, and why.
struct Review {
    score: f64,
    most: f64,
    notes: Vec<String>,
}

impl Review {
    fn fault(&mut self, points: f64, note: String) {
        self.score -= points;
        self.notes.push(note);
    }

    /// However good the rest is, the score stays at or below `most`.
    fn cap(&mut self, most: f64, note: String) {
        self.most = self.most.min(most);
        self.notes.push(note);
    }

    fn check(&mut self, ok: bool, points: f64, note: impl FnOnce() -> String) {
        if !ok {
            self.fault(points, note());
        }
    }
}

/// `{score, notes}`.
pub(super) fn object(desk: &Desk<'_>) -> Value {
    let review = review(desk);
    json!({"score": review.score, "notes": review.notes})
}

/// The same as lines.
pub(super) fn text(desk: &Desk<'_>) -> String {
    let review = review(desk);
    let notes: String = review.notes.iter().map(|note| format!("\n- {note}")).collect();
    format!("Score: {}{notes}", review.score)
}

fn review(desk: &Desk<'_>) -> Review {
    let mut review = Review { score: 10.0, most: 10.0, notes: Vec::new() };
    let draft = desk.prompt.brief.draft.trim();
    let sentences = body(draft);
    if sentences.is_empty() {
        return Review { score: 0.0, most: 0.0, notes: vec!["There is no draft to review.".to_owned()] };
    }
    length(desk, draft, &mut review);
    coverage(desk, &sentences, &mut review);
    opening(desk, &sentences, &mut review);
    style(&sentences, &mut review);
    directions(desk, draft, &sentences, &mut review);
    grounding(desk, &sentences, &mut review);
    review.score = (review.score.clamp(0.0, review.most) * 10.0).round() / 10.0;
    review
}

/// The sentences of a draft without headings and rows of hashtags.
pub(super) fn body(draft: &str) -> Vec<&str> {
    let lines = draft.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(|line| text::sentences(line).into_iter().map(move |s| &line[s.span])).collect()
}

fn length(desk: &Desk<'_>, draft: &str, review: &mut Review) {
    let (least, most) = match desk.prompt.brief.content_type {
        ContentType::Blog => (350, 1_000),
        ContentType::Ad => (8, 60),
        ContentType::Social | ContentType::Unspecified => (60, 220),
    };
    let most = desk.rules.words(most);
    let least = least.min(most / 2);
    let words = count(draft);
    review.check(words <= most, 2.0, || format!("Write at most {most} words; the draft has {words}."));
    review.check(words >= least, 1.5, || format!("The draft has {words} words; {least} are expected."));
}

/// How much of the topic the draft's statements say, as far as the evidence knows it. Title, questions and hashtags name
/// the topic without saying anything about it.
fn coverage(desk: &Desk<'_>, sentences: &[&str], review: &mut Review) {
    let asked: BTreeSet<String> = text::terms(&desk.query).into_iter().collect();
    if asked.is_empty() {
        return;
    }
    let known: BTreeSet<String> = desk.prompt.evidence.iter().flat_map(|p| text::terms(&p.text)).collect();
    let said: BTreeSet<String> = sentences.iter().flat_map(|s| stated(s)).collect();
    let covered: BTreeSet<&String> =
        asked.iter().filter(|t| known.contains(*t) && said.contains(*t)).collect();
    let missing: Vec<&str> = asked.iter().filter(|t| !covered.contains(t)).map(String::as_str).collect();
    let missing = missing.join(", ");
    let share = covered.len() as f64 / asked.len() as f64;
    if known.is_disjoint(&asked) {
        review.cap(UNCOVERED, format!("The evidence does not cover the topic; it lacks: {missing}."));
    } else if covered.is_empty() {
        review.cap(UNCOVERED, format!("The draft says nothing about the topic; it lacks: {missing}."));
    } else if share < 0.6 {
        let points = if share < 0.34 { 3.5 } else { 1.5 };
        review.fault(points, format!("The draft says little about the topic; it lacks: {missing}."));
    }
}

/// The terms that a sentence states: none of a question or of the admission that there is nothing to say.
fn stated(sentence: &str) -> Vec<String> {
    if sentence.ends_with('?') || sentence.starts_with(answer::NOTHING) {
        return Vec::new();
    }
    let words: Vec<&str> = sentence.split_whitespace().filter(|word| !word.starts_with('#')).collect();
    text::terms(&words.join(" "))
}

fn opening(desk: &Desk<'_>, sentences: &[&str], review: &mut Review) {
    let first = sentences.first().copied().unwrap_or_default();
    let number = first.contains(|c: char| c.is_ascii_digit());
    let question = first.ends_with('?');
    let wanted = desk.rules.opening;
    review.check(number || question || wanted.is_some(), 0.5, || {
        "Open with a sentence that carries a number.".to_owned()
    });
    review
        .check(count(first) <= 30, 0.5, || "The first sentence is long; a reader may stop there.".to_owned());
    let social = desk.prompt.brief.content_type == ContentType::Social;
    let asks = sentences.iter().any(|s| s.ends_with('?'));
    // Where the topic makes no good question, none is missed.
    let missed = social && !asks && phrasing::closing(&desk.query).is_some();
    review.check(!missed, 0.5, || "End the post with something the reader can answer.".to_owned());
}

fn style(sentences: &[&str], review: &mut Review) {
    let words: usize = sentences.iter().map(|s| count(s)).sum();
    let mean = words / sentences.len().max(1);
    review.check(mean <= LONG, 1.0, || format!("Sentences have {mean} words on average; aim below that."));
    let mut seen = BTreeSet::new();
    let repeated = sentences.iter().filter(|s| !seen.insert(text::terms(s))).count();
    review.check(repeated == 0, 1.0, || format!("Sentences that say the same as another: {repeated}."));
}

fn directions(desk: &Desk<'_>, draft: &str, sentences: &[&str], review: &mut Review) {
    let rules = &desk.rules;
    let lower = draft.to_lowercase();
    for phrase in rules.avoid.iter().filter(|phrase| lower.contains(*phrase)) {
        review.fault(1.5, format!("Do not use \"{phrase}\"."));
    }
    if let Some(limit) = rules.max_sentence_words {
        let long = sentences.iter().filter(|s| count(s) > limit).count();
        review.check(long == 0, 1.5, || {
            format!("Keep each sentence to at most {limit} words; longer sentences now: {long}.")
        });
    }
    let first = sentences.first().copied().unwrap_or_default();
    match rules.opening {
        Some(Opening::Number) => review.check(first.contains(|c: char| c.is_ascii_digit()), 1.5, || {
            "Open with a sentence that carries a number.".to_owned()
        }),
        Some(Opening::Question) => {
            review.check(first.ends_with('?'), 1.5, || "Open with a question.".to_owned());
        }
        None => {}
    }
    let tags = draft
        .split_whitespace()
        .filter(|w| w.len() > 1 && w.starts_with('#') && !w.starts_with("##"))
        .count();
    if let Some(limit) = rules.max_hashtags {
        review.check(tags <= limit, 1.0, || format!("Use at most {limit} hashtags."));
    }
}

/// Sentences whose words the evidence does not have.
fn grounding(desk: &Desk<'_>, sentences: &[&str], review: &mut Review) {
    let known: BTreeSet<String> =
        desk.prompt.evidence.iter().flat_map(|passage| text::terms(&passage.text)).collect();
    let foreign = |s: &&&str| {
        let terms = text::terms(s);
        let found = terms.iter().filter(|t| known.contains(*t)).count();
        !s.ends_with('?') && terms.len() >= 3 && found * 10 < terms.len() * 7
    };
    let count = sentences.iter().filter(foreign).count();
    review.check(count == 0, (count as f64 * 0.75).min(3.0), || {
        format!("Sentences that the evidence does not support: {count}.")
    });
}
