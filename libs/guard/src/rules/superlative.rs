//! Words that claim to be first or best.

use std::ops::Range;
use std::sync::LazyLock;

use crate::facts::{Superlative, superlative};
use crate::phrase::{Phrase, hits, span};
use crate::text::Word;

static PHRASES: LazyLock<Vec<Phrase>> = LazyLock::new(|| Phrase::list(PATTERNS));

const PATTERNS: &str = "
    number one
    no 1
    best in class
    best of breed
    world class
    world leading
    industry leading
    market leader
    market leading
    second to none
    like no other
    one of a kind
    game changing
";

/// The bytes of every such word or phrase, in order and without overlap.
pub(crate) fn superlatives(words: &[Word]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = hits(&PHRASES, words).iter().map(|hit| span(words, hit)).collect();
    let phrases = found.len();
    for at in (0..words.len()).filter(|at| superlative(words, *at) == Some(Superlative::Strong)) {
        let word = &words[at];
        let inside =
            found[..phrases].iter().any(|span| span.start <= word.span.start && word.span.end <= span.end);
        // Guarantees are another rule's.
        if !inside && !word.lower.starts_with("guarant") {
            found.push(word.span.clone());
        }
    }
    found.sort_by_key(|span| span.start);
    found
}
