//! Which sentences matter: overlap with the topic, weighed by rarity, and no two that say the same.
use std::collections::{BTreeMap, BTreeSet};

use copydesk_guard::text;
use copydesk_proto::types::v1::SourceKind;

use super::evidence::Sentence;
use super::rules::Rules;

/// The most sentences that a text is chosen from: many times what the longest text holds.
const MOST: usize = 400;

/// How many of the first sentences tell which other words belong to the topic.
const FEEDBACK: usize = 15;

/// How much a choice looks at the score, as against being different from what was chosen.
const LAMBDA: f64 = 0.7;

/// From which share of common words on two sentences say the same.
const SAME: f64 = 0.65;

/// What is looked for.
pub(super) struct Query<'a> {
    pub text: &'a str,
    pub angle: &'a str,
    /// A draft whose sentences are kept where nothing speaks against them.
    pub draft: &'a str,
}

/// A sentence and how much it matters; comparable within one ranking.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored<'a> {
    pub sentence: &'a Sentence,
    pub score: f64,
}

/// The sentences that the rules allow, best first. Those that share nothing with the query are left out, unless all
/// would be.
pub(super) fn rank<'a>(pool: &'a [Sentence], query: &Query<'_>, rules: &Rules) -> Vec<Scored<'a>> {
    let idf = rarity(pool);
    let mut weights: BTreeMap<String, f64> = text::terms(query.angle).into_iter().map(|t| (t, 0.4)).collect();
    weights.extend(text::terms(query.text).into_iter().map(|t| (t, 1.0)));
    let usable: Vec<&Sentence> = pool.iter().filter(|s| rules.allow(&s.text)).collect();
    let draft = squeeze(query.draft);

    let overlap = |s: &Sentence, weights: &BTreeMap<String, f64>| overlap(s, weights, &idf);
    let first = sorted(usable.iter().map(|s| Scored { sentence: s, score: overlap(s, &weights) }).collect());
    feed_back(&first, &mut weights);
    let score = |s: &Sentence| {
        let kept = if !draft.is_empty() && draft.contains(&s.text) { 0.2 } else { 0.0 };
        let wished = if rules.prefers(&s.text) { 1.0 } else { 0.0 };
        overlap(s, &weights) + bonus(s) + kept + wished
    };
    let about = |s: &Scored<'_>| s.score > 0.0 || rules.prefers(&s.sentence.text);
    let relevant: Vec<Scored<'a>> = first.iter().copied().filter(about).collect();
    let chosen = present(if relevant.is_empty() { first } else { relevant }, rules);
    let mut best = sorted(chosen.into_iter().map(|s| Scored { score: score(s.sentence), ..s }).collect());
    best.truncate(MOST);
    best
}

/// Without the complaints of issues, which would read as facts of today; with them where nothing else stands, or nothing
/// else holds what a rule wishes for.
fn present<'a>(chosen: Vec<Scored<'a>>, rules: &Rules) -> Vec<Scored<'a>> {
    let complaint = |s: &Scored<'_>| s.sentence.kind == SourceKind::Issue;
    let wished = |s: &Scored<'_>| rules.prefers(&s.sentence.text);
    if chosen.iter().all(complaint) {
        return chosen;
    }
    let granted = chosen.iter().any(|s| wished(s) && !complaint(s));
    chosen.into_iter().filter(|s| !complaint(s) || wished(s) && !granted).collect()
}

/// A sentence that may still be picked, and how near it is to those that are.
struct Free<'a> {
    scored: Scored<'a>,
    nearest: f64,
    siblings: usize,
}

impl<'a> Free<'a> {
    fn gain(&self) -> f64 {
        LAMBDA * self.scored.score - (1.0 - LAMBDA) * self.nearest - 0.03 * self.siblings as f64
    }

    /// Looks at a newly chosen sentence; false when this one has nothing to add to it.
    fn beside(&mut self, chosen: &Sentence) -> bool {
        let own = self.scored.sentence;
        self.nearest = self.nearest.max(jaccard(chosen, own));
        self.siblings += usize::from(chosen.document == own.document);
        !says_the_same(chosen, own)
    }
}

/// Picks in turn the best sentence that adds something, as long as `take` takes it.
pub(super) fn pick<'a>(
    ranked: &[Scored<'a>],
    chosen: &mut Vec<Scored<'a>>,
    mut take: impl FnMut(&Scored<'a>, &[Scored<'a>]) -> bool,
) {
    let mut free: Vec<Free<'a>> =
        ranked.iter().map(|s| Free { scored: *s, nearest: 0.0, siblings: 0 }).collect();
    free.retain_mut(|f| chosen.iter().all(|c| f.beside(c.sentence)));
    while let Some(best) = best(&free) {
        let candidate = free.remove(best).scored;
        if take(&candidate, chosen) {
            free.retain_mut(|f| f.beside(candidate.sentence));
            chosen.push(candidate);
        }
    }
}

/// The place of the greatest gain; of equals the first.
fn best(free: &[Free<'_>]) -> Option<usize> {
    let gains = free.iter().map(Free::gain).enumerate();
    gains.reduce(|held, next| if next.1 > held.1 { next } else { held }).map(|(at, _)| at)
}

/// Whether one of two sentences would add nothing but another number: such a pair reads as a contradiction.
pub(super) fn says_the_same(a: &Sentence, b: &Sentence) -> bool {
    let common = a.terms.intersection(&b.terms).count() as f64;
    let fewer = a.terms.len().min(b.terms.len());
    if fewer == 0 {
        return true;
    }
    let share = common / fewer as f64;
    let figures = a.numbers.intersection(&b.numbers).count();
    share >= SAME && fewer >= 3 || figures >= 2 && share >= 0.45
}

/// Best first; equals keep the order of reading.
fn sorted(mut scored: Vec<Scored<'_>>) -> Vec<Scored<'_>> {
    scored.sort_by(|a, b| b.score.total_cmp(&a.score));
    scored
}

fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How rare each term is among the sentences.
fn rarity(pool: &[Sentence]) -> BTreeMap<&str, f64> {
    let mut frequency: BTreeMap<&str, usize> = BTreeMap::new();
    for term in pool.iter().flat_map(|s| &s.terms) {
        *frequency.entry(term).or_default() += 1;
    }
    let all = pool.len() as f64;
    frequency.into_iter().map(|(term, n)| (term, (1.0 + all / n as f64).ln())).collect()
}

/// The share of the query's weight that a sentence carries, 0 to about 1.5.
fn overlap(sentence: &Sentence, weights: &BTreeMap<String, f64>, idf: &BTreeMap<&str, f64>) -> f64 {
    let weight = |term: &String| {
        weights.get(term).copied().unwrap_or(0.0) * idf.get(term.as_str()).copied().unwrap_or(0.0)
    };
    let whole: f64 = weights.iter().filter(|(_, w)| **w >= 1.0).map(|(term, _)| weight(term)).sum();
    if whole <= 0.0 {
        return 0.0;
    }
    sentence.terms.iter().map(weight).sum::<f64>() / whole
}

/// Words that the best sentences share belong to the topic too.
fn feed_back(ranked: &[Scored<'_>], weights: &mut BTreeMap<String, f64>) {
    let top: Vec<_> = ranked.iter().filter(|s| s.score > 0.0).take(FEEDBACK).collect();
    let mut frequency: BTreeMap<&String, usize> = BTreeMap::new();
    for term in top.iter().flat_map(|s| &s.sentence.terms) {
        *frequency.entry(term).or_default() += 1;
    }
    let shared: BTreeSet<(&String, usize)> = frequency.into_iter().filter(|(_, n)| *n >= 3).collect();
    for (term, n) in shared {
        weights.entry(term.clone()).or_insert(0.25 * n as f64 / FEEDBACK as f64);
    }
}

/// What speaks for a sentence besides its words.
fn bonus(sentence: &Sentence) -> f64 {
    let number = if sentence.numbers.is_empty() { 0.0 } else { 0.15 };
    let kind = match sentence.kind {
        SourceKind::Product | SourceKind::Document | SourceKind::Unspecified => 0.05,
        SourceKind::Readme | SourceKind::CaseStudy | SourceKind::WebPage => 0.0,
        // What was published before is not published again.
        SourceKind::Post => -0.25,
        SourceKind::Changelog => -0.2,
        // Written for who works on the thing, not for who reads about it.
        SourceKind::Example | SourceKind::Commit | SourceKind::Code => -0.4,
        // A complaint of the past reads as a fact of today.
        SourceKind::Issue => -1.0,
    };
    let length = (sentence.words as f64 - 17.0).abs() * 0.008;
    number + kind + 0.15 * sentence.relevance - length
}

fn jaccard(a: &Sentence, b: &Sentence) -> f64 {
    let common = a.terms.intersection(&b.terms).count();
    let all = a.terms.len() + b.terms.len() - common;
    if all == 0 { 1.0 } else { common as f64 / all as f64 }
}
