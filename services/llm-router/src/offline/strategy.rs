//! Two angles: what the evidence dwells on, apart from the topic itself.
use std::collections::BTreeSet;

use copydesk_guard::text;
use serde_json::{Value, json};

use super::evidence::Sentence;
use super::{Desk, phrasing, tally, verbs};

/// How many of the best sentences show what the evidence dwells on.
const LOOKED_AT: usize = 40;

/// One way to write about the topic.
struct Angle {
    title: String,
    reason: String,
    weight: usize,
}

/// `{angles: [{title, reason}, {title, reason}], chosen}`.
pub(super) fn object(desk: &Desk<'_>) -> Value {
    let angles = angles(desk);
    let list: Vec<Value> = angles.iter().map(|a| json!({"title": a.title, "reason": a.reason})).collect();
    json!({"angles": list, "chosen": chosen(&angles)})
}

/// The same as lines.
pub(super) fn text(desk: &Desk<'_>) -> String {
    let angles = angles(desk);
    let best = chosen(&angles);
    let line = |(i, a): (usize, &Angle)| {
        let mark = if i == best { " (chosen)" } else { "" };
        format!("{}. {}{mark}: {}", i + 1, a.title, a.reason)
    };
    angles.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

fn chosen(angles: &[Angle]) -> usize {
    usize::from(angles.len() > 1 && angles[1].weight > angles[0].weight)
}

fn angles(desk: &Desk<'_>) -> Vec<Angle> {
    let ranked = desk.ranked();
    let sentences: Vec<&Sentence> = ranked.iter().take(LOOKED_AT).map(|s| s.sentence).collect();
    let known: BTreeSet<String> = text::terms(&desk.query).into_iter().collect();
    let mut themes = tally::words(sentences.iter().map(|s| s.text.as_str()));
    themes.retain(|t| {
        !known.contains(&t.stems)
            && !t.surface.ends_with("ed")
            && !verbs::is_verb(&t.surface)
            && desk.rules.allow(&t.surface)
    });
    let first = theme(&themes, &sentences, &BTreeSet::new());
    let taken: BTreeSet<String> = first.iter().flat_map(|t| t.stems.split(' ')).map(str::to_owned).collect();
    let second = theme(&themes, &sentences, &taken);
    let topic = phrasing::title(&desk.query);
    vec![angle(&topic, &first, &sentences, "the figures"), angle(&topic, &second, &sentences, "the practice")]
}

/// Whether a sentence speaks of a theme.
fn speaks(sentence: &Sentence, theme: &tally::Frequent) -> bool {
    theme.stems.split(' ').all(|stem| sentence.terms.contains(stem))
}

/// The first theme that is not taken, and the one that stands beside it most often.
fn theme<'a>(
    themes: &'a [tally::Frequent],
    sentences: &[&Sentence],
    taken: &BTreeSet<String>,
) -> Vec<&'a tally::Frequent> {
    let mut free = themes.iter().filter(|t| t.stems.split(' ').all(|stem| !taken.contains(stem)));
    let Some(seed) = free.next() else { return Vec::new() };
    let apart =
        |t: &&tally::Frequent| !t.stems.split(' ').any(|stem| seed.stems.split(' ').any(|s| s == stem));
    let beside = |t: &tally::Frequent| sentences.iter().filter(|s| speaks(s, seed) && speaks(s, t)).count();
    let companion = free.filter(apart).rev().max_by_key(|t| beside(t)).filter(|t| beside(t) > 0);
    std::iter::once(seed).chain(companion).collect()
}

fn angle(topic: &str, theme: &[&tally::Frequent], sentences: &[&Sentence], fallback: &str) -> Angle {
    let words: Vec<&str> = theme.iter().map(|t| t.surface.as_str()).collect();
    let words = if words.is_empty() { fallback.to_owned() } else { words.join(" and ") };
    let about: Vec<&&Sentence> = sentences.iter().filter(|s| theme.iter().any(|t| speaks(s, t))).collect();
    let documents: BTreeSet<&str> = about.iter().map(|s| s.document.as_str()).collect();
    let figures = about.iter().filter(|s| !s.numbers.is_empty()).count();
    Angle {
        title: format!("{topic}: {words}"),
        reason: format!(
            "The evidence speaks of {words} in {} of its best sentences, from {} documents; {figures} of them carry a number.",
            about.len(),
            documents.len()
        ),
        weight: about.len() + figures,
    }
}
