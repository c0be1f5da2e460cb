//! Stems that were worked out before: a language has few words and uses them all the time.
//!
//! Each thread keeps its own, so that nothing waits for another. A stem depends on its word alone: what is kept changes
//! how long an answer takes and never the answer.

use std::cell::RefCell;
use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{is_stemmed, work_out};

/// Stems a thread keeps at most; then it begins anew. With words of at most 40 bytes that is under 4 MB.
const KEPT: usize = 1 << 15;

type Stems = HashMap<Box<str>, Box<str>, RandomState>;

thread_local! {
    static STEMS: RefCell<Stems> = RefCell::new(Stems::default());
}

/// What `read` makes of the stem of a lower-cased word, without a copy of it.
pub(crate) fn with_stem<T>(lower: &str, read: impl FnOnce(&str) -> T) -> T {
    if !is_stemmed(lower) {
        return read(lower);
    }
    STEMS.with(|stems| match stems.try_borrow_mut() {
        Ok(mut stems) => read(kept(&mut stems, lower)),
        // `read` asks for another stem.
        Err(_) => read(&work_out(lower)),
    })
}

fn kept<'s>(stems: &'s mut Stems, lower: &str) -> &'s str {
    if !stems.contains_key(lower) {
        if stems.len() >= KEPT {
            stems.clear();
        }
        stems.insert(lower.into(), work_out(lower).into());
    }
    stems.get(lower).map_or("", |stem| stem)
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
            assert_eq!(kept(&mut stems, &word), work_out(&word));
            assert_eq!(kept(&mut stems, &word), work_out(&word));
        }
        assert_eq!(stems.len(), 10);
        assert_eq!(
            with_stem("running", |outer| with_stem("kept", |inner| format!("{outer} {inner}"))),
            "run keep"
        );
    }
}
