//! What the words are about that no source has, and whether the sources have others of the same meaning.
//!
//! A word of saying or doing is often only another word for what happened; a new person, thing or quality is news.

use super::{Seen, log};
use crate::index::Term;
use crate::wordnet::{About, Entry, entry};

pub(super) const NAMES: [&str; 11] = [
    "novel_saying",
    "novel_thinking",
    "novel_change",
    "novel_doing",
    "novel_person",
    "novel_thing",
    "novel_idea",
    "novel_quality",
    "novel_akin",
    "novel_strange",
    "strange_rarest",
];

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let novel = seen.parsed.terms.iter().filter(|term| !term.is_number && term.holders.is_empty());
    let (mut about, mut akin, mut strange, mut rarest) = ([0_usize; About::ALL.len()], 0.0, 0, 0.0_f64);
    for term in novel {
        let known = if seen.is_inner_capital(term.word) { None } else { Some(entry(&term.key)) };
        if let Some(kind) = known.flatten().and_then(Entry::about) {
            about[kind as usize] += 1;
        }
        if known.is_some_and(|known| is_akin(seen, term, known)) {
            akin += term.weight;
        } else {
            strange += 1;
            rarest = rarest.max(term.weight);
        }
    }
    let total: f64 = seen.parsed.terms.iter().map(|term| term.weight).sum();
    values.extend(about.map(log));
    values.extend([if total > 0.0 { akin / total } else { 0.0 }, log(strange), rarest]);
}

/// Whether a source has another form of the word, or a word that shares a sense with it.
fn is_akin(seen: &Seen<'_, '_>, term: &Term, known: Option<&Entry>) -> bool {
    seen.index.has_kin(&term.key)
        || known.is_some_and(|known| known.alike().any(|other| !seen.index.with_stem(other).is_empty()))
}
