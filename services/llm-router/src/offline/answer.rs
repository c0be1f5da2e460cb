//! A plain answer: the sentences that come nearest to what was asked, or the admission that there are none.
use std::collections::BTreeSet;

use copydesk_guard::text;

use super::Desk;
use super::rank::pick;

/// How many sentences answer a question.
const MOST: usize = 3;

/// The nearest sentences in the order of their document.
pub(super) fn text(desk: &Desk<'_>) -> String {
    let asked: BTreeSet<String> = text::terms(&desk.query).into_iter().collect();
    let mut ranked = desk.ranked();
    ranked.retain(|s| !s.sentence.terms.is_disjoint(&asked));
    let mut room = desk.rules.words(120);
    let mut chosen = Vec::new();
    pick(&ranked, &mut chosen, |candidate, chosen| {
        let fits = chosen.len() < MOST && candidate.sentence.words <= room;
        room -= if fits { candidate.sentence.words } else { 0 };
        fits
    });
    if chosen.is_empty() {
        return nothing(&desk.query);
    }
    chosen.sort_by_key(|s| (s.sentence.passage, s.sentence.position));
    chosen.iter().map(|s| s.sentence.text.as_str()).collect::<Vec<_>>().join(" ")
}

/// How the admission begins.
pub(super) const NOTHING: &str = "The evidence says nothing about this";

/// What is said when nothing can be said.
pub(super) fn nothing(query: &str) -> String {
    match query {
        "" => format!("{NOTHING}."),
        query => format!("{NOTHING}: {}.", query.trim_end_matches('?')),
    }
}
