//! Finding the one or two source sentences that a sentence rests on.

use std::ops::Range;

use crate::index::{Index, Parsed, PassageId, Term};

/// Smallest part of a sentence's weight for which a second evidence sentence is worth printing.
const WORTH_A_SECOND: f64 = 0.08;

/// The evidence of one sentence and how much of its weight that covers, each 0 to 1.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alignment {
    /// Covers most.
    pub(crate) best: Option<PassageId>,
    /// Adds most to the best.
    pub(crate) second: Option<PassageId>,
    pub(crate) by_best: f64,
    pub(crate) by_both: f64,
    /// By all sources together.
    pub(crate) by_all: f64,
}

impl Alignment {
    pub(crate) fn passages(&self) -> impl Iterator<Item = PassageId> {
        self.best.into_iter().chain(self.second)
    }
}

pub(crate) fn align(index: &Index<'_>, terms: &[Term]) -> Alignment {
    let total: f64 = terms.iter().map(|term| term.weight).sum();
    if total <= 0.0 {
        return Alignment::default();
    }
    let known: f64 = terms.iter().filter(|term| !term.holders.is_empty()).map(|term| term.weight).sum();
    let Some((best, first)) = strongest(index, terms.iter()) else { return Alignment::default() };
    let left = terms.iter().filter(|term| !holds(term, best));
    let second = strongest(index, left).filter(|(_, gain)| *gain >= WORTH_A_SECOND * total);
    let gain = second.map_or(0.0, |(_, gain)| gain);
    Alignment {
        best: Some(best),
        second: second.map(|(id, _)| id),
        by_best: first / total,
        by_both: (first + gain) / total,
        by_all: known / total,
    }
}

/// The passage with the most weight of these terms; of equals the one that says least else, then the earliest.
pub(crate) fn strongest<'t>(
    index: &Index<'_>,
    terms: impl Iterator<Item = &'t Term>,
) -> Option<(PassageId, f64)> {
    let mut scores = vec![0.0; index.passages.len()];
    for term in terms {
        for id in &term.holders {
            scores[*id as usize] += term.weight;
        }
    }
    let breadth = |id: PassageId| index.passage(id).breadth;
    let mut best: Option<(PassageId, f64)> = None;
    for (id, score) in (0..).zip(scores).filter(|(_, score)| *score > 0.0) {
        let better = best.is_none_or(|(held, top)| {
            score > top + 1e-9 || (score > top - 1e-9 && breadth(id) < breadth(held))
        });
        if better {
            best = Some((id, score));
        }
    }
    best
}

/// The best passage by BM25 (Robertson & Zaragoza 2009; k1 1.2, b 0.75) over content words: the yardstick that evidence is
/// measured against.
pub(crate) fn bm25_best(index: &Index<'_>, terms: &[Term]) -> Option<PassageId> {
    const K1: f64 = 1.2;
    const B: f64 = 0.75;
    let count = index.passages.len() as f64;
    let usual = index.length() as f64 / count.max(1.0);
    let mut scores = vec![0.0; index.passages.len()];
    for term in terms {
        let holders = term.holders.len() as f64;
        let idf = (1.0 + (count - holders + 0.5) / (holders + 0.5)).ln();
        for id in &term.holders {
            let passage = index.passage(*id);
            let times =
                index.stems_of(passage).filter(|stem| index.is_stem(*stem, &term.key)).count().max(1) as f64;
            let long = 1.0 - B + B * passage.forms.len() as f64 / usual.max(1.0);
            scores[*id as usize] += idf * times * (K1 + 1.0) / (times + K1 * long);
        }
    }
    let best = (0..).zip(scores).filter(|(_, score)| *score > 0.0);
    best.reduce(|held: (PassageId, f64), next| if next.1 > held.1 { next } else { held }).map(|(id, _)| id)
}

pub(crate) fn holds(term: &Term, passage: PassageId) -> bool {
    term.holders.binary_search(&passage).is_ok()
}

/// The neighbouring passages that together are this sentence word for word, blanks, quotes and emphasis aside.
pub(crate) fn verbatim(index: &Index<'_>, parsed: &Parsed<'_>) -> Option<Range<PassageId>> {
    let forms: Vec<u32> = parsed.words.iter().map(|word| index.form(&word.lower)).collect::<Option<_>>()?;
    let starts = index.opening_with(&forms).into_iter();
    starts.filter_map(|start| run_of(index, start, &forms)).find(|run| {
        let said: Vec<&str> = run.clone().map(|id| index.quote(id)).collect();
        plain(&said.join(" ")) == plain(parsed.raw)
    })
}

/// The passages from `start` on whose words in a row are exactly these.
fn run_of(index: &Index<'_>, start: PassageId, forms: &[u32]) -> Option<Range<PassageId>> {
    let source = index.passage(start).source;
    let mut left = forms;
    let mut id = start;
    while !left.is_empty() {
        let passage = index.passages.get(id as usize).filter(|passage| passage.source == source)?;
        left = left.strip_prefix(passage.forms.as_slice())?;
        id += 1;
    }
    Some(start..id)
}

/// The sentence without what changes no meaning: case, emphasis, outer quotes and closing marks, width of blanks.
fn plain(raw: &str) -> String {
    let inner = raw.trim_matches(|c: char| c.is_whitespace() || ".!…\"“”*_`".contains(c));
    let kept = inner.chars().filter(|c| !matches!(c, '*' | '`')).map(|c| match c {
        '’' | '‘' => '\'',
        '“' | '”' => '"',
        '–' | '—' | '‐' | '\u{2011}' => '-',
        other => other,
    });
    let text: String = kept.flat_map(char::to_lowercase).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
