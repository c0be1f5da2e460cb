//! Short texts: a hook, a few paragraphs of one document each, and a question to the reader.
use copydesk_guard::text;
use copydesk_proto::types::v1::SourceKind;

use super::evidence::Sentence;
use super::rank::{Scored, pick};
use super::rules::{Opening, Rules, count};
use super::{Desk, answer, phrasing, standing};

/// The measure of a kind of short text.
pub(super) struct Measure {
    /// The most words.
    most: usize,
    /// From how many words on it is long enough.
    enough: usize,
    /// Whether it ends with a question.
    question: bool,
    /// From how many documents it may draw.
    documents: usize,
    /// How many sentences of one document it may hold.
    each: usize,
}

/// A social post.
pub(super) const SOCIAL: Measure = Measure { most: 178, enough: 135, question: true, documents: 3, each: 4 };

/// An advertisement.
pub(super) const AD: Measure = Measure { most: 60, enough: 40, question: false, documents: 2, each: 2 };

/// The most sentences of one paragraph.
const PARAGRAPH: usize = 3;

/// Writes a short text.
pub(super) fn write(desk: &Desk<'_>, measure: &Measure) -> String {
    let rules = &desk.rules;
    let ranked: Vec<Scored<'_>> = desk.ranked().into_iter().filter(|s| named(s.sentence)).collect();
    let limit = rules.words(measure.most);
    let question = question(desk, limit, measure);
    let room = limit - question.as_deref().map_or(0, count);
    let Some(hook) = hook(&ranked, rules, room) else {
        return question.unwrap_or_else(|| answer::nothing(&desk.query));
    };

    let mut chosen = vec![hook];
    let mut words = hook.sentence.words;
    pick(&ranked, &mut chosen, |candidate, chosen| {
        let next = words + candidate.sentence.words;
        let fits = next <= room && words < measure.enough && welcome(candidate, chosen, measure);
        words = if fits { next } else { words };
        fits
    });

    let mut parts = vec![hook.sentence.text.clone()];
    parts.extend(paragraphs(&chosen).iter().map(|sentences| join(sentences)));
    match question {
        Some(question) if rules.opening == Some(Opening::Question) => parts.insert(0, question),
        other => parts.extend(other),
    }
    parts.join("\n\n")
}

/// The question at the end, or at the beginning where a rule wants one there; none where no room is for it or none reads
/// well.
fn question(desk: &Desk<'_>, limit: usize, measure: &Measure) -> Option<String> {
    let candidates = match desk.rules.opening {
        Some(Opening::Question) => phrasing::opening(&desk.query),
        _ if measure.question => phrasing::closing(&desk.query).into_iter().collect(),
        _ => Vec::new(),
    };
    candidates.into_iter().filter(|q| desk.rules.allow(q)).find(|q| count(q) * 2 <= limit)
}

/// The sentence that opens: strong, short, and with a number if there is one, always if a rule wants one.
pub(super) fn hook<'a>(ranked: &[Scored<'a>], rules: &Rules, room: usize) -> Option<Scored<'a>> {
    let fits = |s: &&Scored<'a>| s.sentence.words <= room;
    let best = ranked.iter().find(fits)?.score;
    let appeal = |s: &Scored<'a>| {
        let number = !s.sentence.numbers.is_empty();
        let early = s.sentence.text.chars().take(40).any(|c| c.is_ascii_digit());
        let must = if rules.opening == Some(Opening::Number) && number { 10.0 } else { 0.0 };
        let opens = if standing::opens(&s.sentence.text, s.sentence.words) { 0.5 } else { 0.0 };
        must + s.score + opens + if number { 0.6 } else { 0.0 } + if early { 0.1 } else { 0.0 }
    };
    let must = rules.opening == Some(Opening::Number);
    ranked.iter().filter(fits).filter(|s| must || s.score >= 0.4 * best).fold(
        None,
        |held: Option<Scored<'a>>, s| match held {
            Some(h) if appeal(&h) >= appeal(s) => Some(h),
            _ => Some(*s),
        },
    )
}

/// Whether a text of few documents may take this one in.
fn welcome(candidate: &Scored<'_>, chosen: &[Scored<'_>], measure: &Measure) -> bool {
    let mut documents: Vec<&str> = chosen.iter().map(|s| s.sentence.document.as_str()).collect();
    let same = documents.iter().filter(|d| **d == candidate.sentence.document).count();
    documents.sort_unstable();
    documents.dedup();
    same < measure.each && (same > 0 || documents.len() < measure.documents)
}

/// Everything after the hook: one document after the other, each in its own order.
fn paragraphs<'a>(chosen: &[Scored<'a>]) -> Vec<Vec<&'a Sentence>> {
    let mut groups: Vec<Vec<&'a Sentence>> = Vec::new();
    let Some(hook) = chosen.first() else { return groups };
    let mut order: Vec<&str> = vec![&hook.sentence.document];
    for scored in &chosen[1..] {
        let document = scored.sentence.document.as_str();
        let at = order.iter().position(|d| *d == document).unwrap_or_else(|| {
            order.push(document);
            order.len() - 1
        });
        groups.resize_with(groups.len().max(order.len()), Vec::new);
        groups[at].push(scored.sentence);
    }
    for group in &mut groups {
        group.sort_by_key(|s| s.position);
    }
    groups.iter().flat_map(|group| group.chunks(PARAGRAPH)).map(<[_]>::to_vec).collect()
}

pub(super) fn join(sentences: &[&Sentence]) -> String {
    sentences.iter().map(|s| s.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// In a customer's story or an issue, "the drivers" are somebody's drivers. Out of it a sentence must name whose.
pub(super) fn named(sentence: &Sentence) -> bool {
    const PLAIN: &[&str] = &["how", "why", "what", "issue", "case", "study", "customer", "story"];
    if !matches!(sentence.kind, SourceKind::CaseStudy | SourceKind::Issue) {
        return true;
    }
    let words = text::words(&sentence.title);
    let mut names = words.iter().filter(|word| {
        sentence.title[word.span.clone()].starts_with(char::is_uppercase)
            && !PLAIN.contains(&word.lower.as_str())
            && !text::is_stop_word(&word.lower)
    });
    let own: Vec<String> = text::words(&sentence.text).into_iter().map(|word| word.lower).collect();
    names.any(|name| own.contains(&name.lower))
}
