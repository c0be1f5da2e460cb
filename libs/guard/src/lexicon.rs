//! Words as numbers, and which passages have them, each in a few stretches of memory rather than one a word.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

/// One for all lexicons, so that a word that is looked up in several is hashed once.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// What a word is looked up by.
pub(crate) fn hash_of(word: &str) -> u64 {
    HASHER.hash_one(word)
}

/// Different words, numbered from 0 in the order in which they came.
///
/// A table of its own rather than a map: most look-ups find a short word, and one that is compared where it is found, without
/// a call, takes a third of the steps.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    /// All words, one after the other.
    text: String,
    entries: Vec<Entry>,
    /// A power of two, at most half of them taken; a word stands at the place of its hash or at the next free one.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    end: usize,
    hash: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// The high half of the hash.
    tag: u32,
    /// The word's number and 1; 0 when the slot is free.
    next: u32,
}

/// Slots of the smallest lexicon with a word.
const FEWEST: usize = 64;

impl Lexicon {
    /// Has room for so many words at once.
    pub(crate) fn with_room(words: usize) -> Self {
        Self {
            text: String::with_capacity(words * 8),
            entries: Vec::with_capacity(words),
            slots: vec![Slot::default(); (words * 2).next_power_of_two().max(FEWEST)],
        }
    }

    /// The number of a word whose [`hash_of`] is given, and whether it is new.
    #[inline]
    pub(crate) fn intern(&mut self, word: &str, hash: u64) -> (u32, bool) {
        match self.look(word, hash) {
            Ok(number) => (number, false),
            Err(free) => (self.add(word, hash, free), true),
        }
    }

    fn add(&mut self, word: &str, hash: u64, mut free: usize) -> u32 {
        if self.entries.len() * 2 >= self.slots.len() {
            self.grow();
            free = self.look(word, hash).err().unwrap_or_default();
        }
        let number = self.entries.len() as u32;
        let start = self.text.len();
        self.text.push_str(word);
        self.entries.push(Entry { start, end: self.text.len(), hash });
        self.slots[free] = Slot { tag: tag(hash), next: number + 1 };
        number
    }

    /// Takes the next number for something that is no word.
    pub(crate) fn skip(&mut self) -> u32 {
        let at = self.text.len();
        self.entries.push(Entry { start: at, end: at, hash: 0 });
        self.entries.len() as u32 - 1
    }

    /// The number of a word that is there.
    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        self.look(word, hash_of(word)).ok()
    }

    /// The number of a word, or the slot it would have.
    #[inline]
    fn look(&self, word: &str, hash: u64) -> Result<u32, usize> {
        let last = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & last;
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.next != 0) {
            let number = slot.next - 1;
            if slot.tag == tag(hash) && self.is_word(number, word) {
                return Ok(number);
            }
            at = (at + 1) & last;
        }
        Err(at)
    }

    #[inline]
    fn is_word(&self, number: u32, word: &str) -> bool {
        let entry = &self.entries[number as usize];
        are_equal(&self.text.as_bytes()[entry.start..entry.end], word.as_bytes())
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FEWEST);
        let taken = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        for slot in taken.into_iter().filter(|slot| slot.next != 0) {
            let mut at = self.hash(slot.next - 1) as usize & (size - 1);
            while self.slots[at].next != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// The word with this number.
    pub(crate) fn word(&self, number: u32) -> &str {
        let entry = &self.entries[number as usize];
        &self.text[entry.start..entry.end]
    }

    /// The [`hash_of`] of the word with this number.
    pub(crate) fn hash(&self, number: u32) -> u64 {
        self.entries[number as usize].hash
    }

    /// How many numbers are given.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// Whether two words are the same: short ones by two overlapping looks at each.
#[inline]
fn are_equal(left: &[u8], right: &[u8]) -> bool {
    let length = left.len();
    if length != right.len() {
        return false;
    }
    match length {
        4..8 => {
            left.first_chunk::<4>() == right.first_chunk::<4>()
                && left.last_chunk::<4>() == right.last_chunk::<4>()
        }
        8..=16 => {
            left.first_chunk::<8>() == right.first_chunk::<8>()
                && left.last_chunk::<8>() == right.last_chunk::<8>()
        }
        1..4 => {
            left[0] == right[0]
                && left[length / 2] == right[length / 2]
                && left[length - 1] == right[length - 1]
        }
        _ => left == right,
    }
}

/// The passages of each stem.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    /// Where those of each stem end in `passages`.
    ends: Vec<u32>,
    passages: Vec<u32>,
}

impl Postings {
    /// Sorts pairs of a stem, which is below `stems`, and a passage by stem; those of one stem keep their order.
    pub(crate) fn of(pairs: &[(u32, u32)], stems: usize) -> Self {
        let mut ends = vec![0_u32; stems];
        for (stem, _) in pairs {
            ends[*stem as usize] += 1;
        }
        let mut next = 0;
        for end in &mut ends {
            (*end, next) = (next, next + *end);
        }
        let mut passages = vec![0; pairs.len()];
        for (stem, passage) in pairs {
            let end = &mut ends[*stem as usize];
            passages[*end as usize] = *passage;
            *end += 1;
        }
        Self { ends, passages }
    }

    /// The passages of a stem.
    pub(crate) fn of_stem(&self, stem: u32) -> &[u32] {
        let end = |stem: u32| self.ends.get(stem as usize).map_or(0, |end| *end as usize);
        self.passages.get(stem.checked_sub(1).map_or(0, end)..end(stem)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_one_number_each() {
        let mut lexicon = Lexicon::default();
        let words: Vec<String> = (0..500).map(|at| format!("w{at}")).chain([String::new()]).collect();
        for (at, word) in (0..).zip(&words) {
            assert_eq!(lexicon.intern(word, hash_of(word)), (at, true));
        }
        for (at, word) in (0..).zip(&words) {
            assert_eq!((lexicon.intern(word, hash_of(word)), lexicon.word(at)), ((at, false), word.as_str()));
            assert_eq!(lexicon.find(word), Some(at));
        }
        assert_eq!((lexicon.find("x"), lexicon.len()), (None, 501));
        assert_eq!((lexicon.skip(), lexicon.word(501)), (501, ""));
        assert_eq!(lexicon.intern("x", hash_of("x")), (502, true));
        assert_eq!(Lexicon::default().find("x"), None);
    }

    #[test]
    fn words_of_every_length_are_told_apart() {
        for length in 0..40 {
            let word = vec![b'a'; length];
            assert!(are_equal(&word, &word.clone()) && !are_equal(&word, &vec![b'a'; length + 1]));
            for at in 0..length {
                let mut other = word.clone();
                other[at] = b'b';
                assert!(!are_equal(&word, &other), "{length} {at}");
            }
        }
    }

    #[test]
    fn postings_are_kept_apart_and_in_order() {
        let postings = Postings::of(&[(2, 0), (0, 0), (2, 1), (3, 4), (0, 5)], 5);
        let all: Vec<&[u32]> = (0..6).map(|stem| postings.of_stem(stem)).collect();
        assert_eq!(all, [&[0, 5][..], &[], &[0, 1], &[4], &[], &[]]);
    }
}
