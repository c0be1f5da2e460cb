//! How much of the sentence's weight its sources have.

use super::{Seen, log, share};

pub(super) const NAMES: [&str; 7] =
    ["cover_best", "cover_pair", "cover_all", "cover_gap", "novel_share", "novel_terms", "novel_rarest"];

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    let aligned = seen.aligned;
    let terms = &seen.parsed.terms;
    let novel = terms.iter().filter(|term| term.holders.is_empty());
    let rarest = novel.clone().map(|term| term.weight).fold(0.0, f64::max);
    let words = novel.clone().filter(|term| !term.is_number).count();
    values.extend([
        aligned.by_best,
        aligned.by_both,
        aligned.by_all,
        aligned.by_all - aligned.by_both,
        share(novel.count(), terms.len()),
        log(words),
        rarest,
    ]);
}
