//! Stems that were worked out before: a language has few words and uses them all the time.
//!
//! Each thread keeps its own, so that nothing waits for another. A stem depends on its word alone: what is kept changes
//! how long an answer takes and never the answer.

use std::cell::RefCell;

use super::{is_stemmed, work_out};
use crate::lexicon::{Key, Lexicon, SHORT};

/// Words whose stems a thread keeps at most; then it begins anew. With words of at most 40 bytes that is under 4 MB.
const KEPT: usize = 1 << 15;

#[derive(Debug, Default)]
struct Stems {
    words: Lexicon,
    /// [`Key::packed`] of each word's stem.
    stems: Vec<u128>,
}

thread_local! {
    static STEMS: RefCell<Stems> = RefCell::new(Stems::default());
}

/// What `read` makes of the stem of a lower-cased word, without a copy of it.
pub(crate) fn with_stem<T>(lower: &str, read: impl FnOnce(&str) -> T) -> T {
    if !is_stemmed(lower) {
        return read(lower);
    }
    with_stem_key(Key::of(lower), |stem| read(stem.word()))
}

/// What `read` makes of the stem of a lower-cased word, as it is looked up.
pub(crate) fn with_stem_key<T>(lower: Key<'_>, read: impl FnOnce(Key<'_>) -> T) -> T {
    if !is_stemmed(lower.word()) {
        return read(lower);
    }
    let packed = STEMS.with(|stems| stems.try_borrow_mut().map_or(0, |mut stems| stems.kept(lower)));
    if let Some(stem) = lower.beginning(packed) {
        return read(stem);
    }
    let mut bytes = [0; SHORT];
    match Key::unpack(packed, &mut bytes) {
        Some(stem) => read(stem),
        // A long one.
        None => read(Key::of(&work_out(lower.word()))),
    }
}

impl Stems {
    /// [`Key::packed`] of the word's stem.
    fn kept(&mut self, lower: Key<'_>) -> u128 {
        let (mut word, is_new) = self.words.intern(lower);
        if is_new {
            if self.words.len() > KEPT {
                *self = Self::default();
                word = self.words.intern(lower).0;
            }
            self.stems.push(Key::of(&work_out(lower.word())).packed());
        }
        self.stems[word as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_stem_is_the_stem_worked_out_and_no_more_are_kept_than_said() {
        let mut stems = Stems::default();
        for at in 0..KEPT + 10 {
            let letters: String =
                (0..4).map(|place| char::from(b'a' + (at >> (place * 4)) as u8 % 16)).collect();
            let word = letters + "ing";
            for _ in 0..2 {
                assert_eq!(stems.kept(Key::of(&word)), Key::of(&work_out(&word)).packed());
            }
        }
        assert_eq!((stems.words.len(), stems.stems.len()), (10, 10));
        for long in ["antidisestablishmentarianisms", "counterrevolutionaries", "internationalizing"] {
            assert_eq!(with_stem(long, str::to_owned), work_out(long));
        }
        assert_eq!(
            with_stem("running", |outer| with_stem("kept", |inner| format!("{outer} {inner}"))),
            "run keep"
        );
    }
}
