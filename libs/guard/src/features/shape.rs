//! The size of what is compared, and the manner of the sentence.

use super::{Seen, flag, log};
use crate::report::SentenceClass;

pub(super) const NAMES: [&str; 6] =
    ["words", "source_sentences", "source_words", "text_sentences", "question", "claim"];

pub(super) fn measure(seen: &Seen<'_, '_>, values: &mut Vec<f64>) {
    values.extend([
        log(seen.parsed.words.len()),
        log(seen.index.passages.len()),
        log(seen.index.length()),
        log(seen.sentences),
        flag(seen.parsed.raw.trim_end().ends_with('?')),
        flag(seen.class == SentenceClass::Claim),
    ]);
}
