//! Which lessons the next text should heed.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use copydesk_guard::text;

use super::lesson::{Lesson, Origin};
use super::outcome::ContentType;

/// Weight of the score against sameness with what is chosen already (maximal marginal relevance).
const LAMBDA: f64 = 0.7;
/// What is left of a lesson's freshness after an hour.
const HOURLY_DECAY: f64 = 0.995;
const MS_PER_HOUR: f64 = 3_600_000.0;
/// A two-sided 95 % bound of the normal distribution.
const Z: f64 = 1.96;

/// What is about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// What kind of content.
    pub content_type: ContentType,
    /// What it is about.
    pub topic: &'a str,
    /// The most lessons to return.
    pub limit: usize,
    /// The most tokens that their texts may take together.
    pub tokens: usize,
    /// Now, in ms since 1970.
    pub now_ms: i64,
}

/// A lesson and its score for a query, 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The lesson.
    pub lesson: Lesson,
    /// Its score.
    pub score: f64,
}

struct Candidate {
    found: Found,
    /// What the lesson is about, to tell sameness: its phrase or its words, nothing for a rule without a phrase.
    subject: BTreeSet<String>,
}

/// The lessons to heed, best first, equal scores in order of id.
///
/// Left out: lessons for another content type, lessons with more verdicts against than for them, and the losing side
/// of two opposites. The rest is chosen one by one by score and difference from what is chosen already, as long as
/// both the number and the tokens last.
pub fn find(lessons: Vec<Lesson>, query: &Query<'_>) -> Vec<Found> {
    let topic = term_set(query.topic);
    let mut rest: Vec<Candidate> = standing(lessons, query.content_type)
        .into_iter()
        .map(|lesson| Candidate { subject: subject(&lesson), found: scored(lesson, &topic, query.now_ms) })
        .collect();
    rest.sort_by(|a, b| order(&a.found, &b.found));
    let mut chosen: Vec<Candidate> = Vec::new();
    let mut left = query.tokens;
    while chosen.len() < query.limit {
        let Some(best) = next(&rest, &chosen) else { break };
        let candidate = rest.remove(best);
        let cost = tokens(&candidate.found.lesson.asks.text);
        if cost <= left {
            left -= cost;
            chosen.push(candidate);
        }
    }
    let mut found: Vec<Found> = chosen.into_iter().map(|candidate| candidate.found).collect();
    found.sort_by(order);
    found
}

/// The lessons that may be heed at all.
fn standing(lessons: Vec<Lesson>, content_type: ContentType) -> Vec<Lesson> {
    let fits = |lesson: &Lesson| {
        lesson.content_type.is_none_or(|own| own == content_type) && lesson.contra <= lesson.support
    };
    let fit: Vec<Lesson> = lessons.into_iter().filter(fits).collect();
    let beaten = |lesson: &Lesson| fit.iter().any(|other| other.opposes(lesson) && other.beats(lesson));
    let keep: Vec<bool> = fit.iter().map(|lesson| !beaten(lesson)).collect();
    fit.into_iter().zip(keep).filter_map(|(lesson, keep)| keep.then_some(lesson)).collect()
}

fn scored(lesson: Lesson, topic: &BTreeSet<String>, now_ms: i64) -> Found {
    let relevance = if lesson.asks.rule.is_some() { 1.0 } else { overlap(topic, &about(&lesson)) };
    let hours = now_ms.saturating_sub(lesson.supported_ms).max(0) as f64 / MS_PER_HOUR;
    let human = if lesson.origin == Origin::Human { 1.0 } else { 0.0 };
    let trust = trust(lesson.support, lesson.contra);
    let score = 0.5 * relevance + 0.2 * trust + 0.2 * HOURLY_DECAY.powf(hours) + 0.1 * human;
    Found { lesson, score: score.clamp(0.0, 1.0) }
}

/// The lower bound of Beta(1 + support, 1 + contra) by the normal approximation, 0 to 1.
pub fn trust(support: u32, contra: u32) -> f64 {
    let (a, b) = (1.0 + f64::from(support), 1.0 + f64::from(contra));
    let mean = a / (a + b);
    let variance = a * b / ((a + b) * (a + b) * (a + b + 1.0));
    (mean - Z * variance.sqrt()).clamp(0.0, 1.0)
}

/// The index of the candidate with the most worth beside the chosen ones; the first of equals.
fn next(rest: &[Candidate], chosen: &[Candidate]) -> Option<usize> {
    let worth = |candidate: &Candidate| {
        let sameness = chosen.iter().map(|c| overlap(&c.subject, &candidate.subject)).fold(0.0, f64::max);
        LAMBDA * candidate.found.score - (1.0 - LAMBDA) * sameness
    };
    let mut best: Option<(usize, f64)> = None;
    for (at, candidate) in rest.iter().enumerate() {
        let worth = worth(candidate);
        if best.is_none_or(|(_, top)| worth > top) {
            best = Some((at, worth));
        }
    }
    best.map(|(at, _)| at)
}

fn order(a: &Found, b: &Found) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| a.lesson.id.cmp(&b.lesson.id))
}

/// What the lesson was learned about and what it says.
fn about(lesson: &Lesson) -> BTreeSet<String> {
    let mut terms = term_set(&lesson.asks.text);
    for source in &lesson.sources {
        terms.extend(text::terms(&source.topic));
    }
    terms
}

fn subject(lesson: &Lesson) -> BTreeSet<String> {
    match &lesson.asks.rule {
        Some(rule) => term_set(rule.parts().2),
        None => term_set(&lesson.asks.text),
    }
}

fn term_set(words: &str) -> BTreeSet<String> {
    text::terms(words).into_iter().collect()
}

/// The cosine of two sets of terms, 0 to 1.
fn overlap(a: &BTreeSet<String>, b: &BTreeSet<String>) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let shared = a.intersection(b).count() as f64;
    shared / ((a.len() * b.len()) as f64).sqrt()
}

/// About how many tokens a text takes: four bytes each, rounded up.
fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::lesson::{Proposal, Rule, Source};
    use copydesk_types::{BrandId, LessonId, RunId};

    const NOW: i64 = 1_000_000_000;

    fn lesson(id: u128, asks: Proposal) -> Lesson {
        Lesson {
            id: LessonId::from_u128(id),
            brand: BrandId::from_u128(1),
            content_type: Some(ContentType::Social),
            origin: Origin::Human,
            asks,
            support: 1,
            contra: 0,
            sources: vec![Source { run: RunId::from_u128(id), topic: "cold chain alerts".into() }],
            created_ms: NOW,
            asserted_ms: NOW,
            supported_ms: NOW,
        }
    }

    fn query(topic: &str, limit: usize) -> Query<'_> {
        Query { content_type: ContentType::Social, topic, limit, tokens: 400, now_ms: NOW }
    }

    fn ids(found: &[Found]) -> Vec<u128> {
        found.iter().map(|f| f.lesson.id.as_u128()).collect()
    }

    #[test]
    fn trust_is_the_lower_bound() {
        // Beta(2, 1): mean 2/3, variance 2/36, so 0.66667 - 1.96 * 0.23570.
        assert!((trust(1, 0) - 0.204_69).abs() < 1e-4);
        assert!(trust(10, 0) > trust(1, 0) && trust(1, 0) > trust(1, 1));
        assert_eq!(trust(0, 50), 0.0);
    }

    #[test]
    fn rules_come_before_words_about_something_else() {
        let words = lesson(1, Proposal::words("Name the dairy."));
        let close = lesson(2, Proposal::words("Say how alerts save the cold chain."));
        let rule = lesson(3, Proposal::of(Rule::MaxWords(80)));
        let found = find(vec![words, close, rule], &query("alerts for the cold chain", 5));
        assert_eq!(ids(&found), [3, 2, 1]);
        // 0.5 + 0.2 * 0.20469 + 0.2 + 0.1
        assert!((found[0].score - 0.840_94).abs() < 1e-4, "{}", found[0].score);
    }

    #[test]
    fn other_content_types_and_refuted_lessons_are_left_out() {
        let mut blog = lesson(1, Proposal::of(Rule::MaxWords(80)));
        blog.content_type = Some(ContentType::Blog);
        let mut refuted = lesson(2, Proposal::of(Rule::OpenWithNumber));
        refuted.contra = 2;
        let mut everywhere = lesson(3, Proposal::of(Rule::MaxHashtags(3)));
        everywhere.content_type = None;
        assert_eq!(ids(&find(vec![blog, refuted, everywhere], &query("", 5))), [3]);
    }

    #[test]
    fn of_two_opposites_the_newer_human_one_is_heeded() {
        let mut old = lesson(1, Proposal::of(Rule::OpenWithNumber));
        old.asserted_ms = NOW - 10;
        let new = lesson(2, Proposal::of(Rule::OpenWithQuestion));
        assert_eq!(ids(&find(vec![old.clone(), new.clone()], &query("", 5))), [2]);
        let mut derived = new;
        derived.origin = Origin::Auto;
        assert_eq!(ids(&find(vec![old, derived], &query("", 5))), [1], "people win over derivation");
    }

    #[test]
    fn fresh_and_different_lessons_are_preferred() {
        let twin = |id| lesson(id, Proposal::words("Explain the alerts of the cold chain with examples"));
        let other = lesson(9, Proposal::words("Thank the alerts crew"));
        let found = find(vec![twin(1), twin(2), other], &query("cold chain alerts examples", 2));
        assert_eq!(ids(&found), [1, 9], "the twin adds nothing");
        let mut stale = lesson(1, Proposal::of(Rule::MaxWords(80)));
        stale.supported_ms = NOW - 1_000 * 3_600_000;
        let fresh = lesson(2, Proposal::of(Rule::MaxHashtags(2)));
        assert_eq!(ids(&find(vec![stale, fresh], &query("", 5))), [2, 1]);
    }

    #[test]
    fn number_and_tokens_are_bounds() {
        let many: Vec<Lesson> = (1..=20)
            .map(|id| lesson(id, Proposal::words(&format!("{id} {}", "long words ".repeat(20)))))
            .collect();
        let found = find(many.clone(), &query("words", 20));
        let used: usize = found.iter().map(|f| tokens(&f.lesson.asks.text)).sum();
        assert!((350..=400).contains(&used), "{used}");
        assert_eq!(find(many.clone(), &query("words", 3)).len(), 3);
        let mut reversed = many.clone();
        reversed.reverse();
        assert_eq!(
            find(many, &query("words", 4)),
            find(reversed, &query("words", 4)),
            "the order given is no matter"
        );
    }
}
