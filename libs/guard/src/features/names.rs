//! Names that the sources do not have.

use super::{Seen, flag, log, share};
use crate::signals::{check_names, unaligned_names};
use crate::text::is_stop_word;

pub(super) const NAMES: [&str; 6] =
    ["names_missing", "names_elsewhere", "names", "opens_novel", "novel_capitals", "novel_capitals_share"];

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let parsed = seen.parsed;
    let missing = check_names(seen.index, parsed, None).len();
    let elsewhere = unaligned_names(seen.index, parsed, &seen.evidence);
    let is_capital =
        |at: usize| parsed.raw[parsed.words[at].span.clone()].chars().next().is_some_and(char::is_uppercase);
    let opens_novel = parsed.words.first().is_some_and(|word| !is_stop_word(&word.lower))
        && is_capital(0)
        && seen.stems.first() == Some(&None);
    let novel =
        parsed.terms.iter().filter(|term| !term.is_number && term.holders.is_empty() && term.word > 0);
    let capitals = novel.filter(|term| is_capital(term.word)).count();
    values.extend([
        missing.min(3) as f64,
        elsewhere.min(3) as f64,
        log(parsed.entities.len()),
        flag(opens_novel),
        log(capitals),
        share(capitals, parsed.terms.len()),
    ]);
}
