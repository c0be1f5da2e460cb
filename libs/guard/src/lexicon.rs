//! Words as numbers, and which passages have them, each in a few stretches of memory rather than one a word.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::LazyLock;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

/// One for all lexicons, so that a word that is looked up in several is hashed once.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// What a word is looked up by.
pub(crate) fn hash_of(word: &str) -> u64 {
    HASHER.hash_one(word)
}

/// Different words, numbered from 0 in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    /// All words, one after the other.
    text: String,
    entries: Vec<Entry>,
    numbers: HashTable<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    end: usize,
    hash: u64,
}

impl Lexicon {
    /// Has room for so many words at once.
    pub(crate) fn with_room(words: usize) -> Self {
        Self {
            text: String::with_capacity(words * 8),
            entries: Vec::with_capacity(words),
            numbers: HashTable::with_capacity(words),
        }
    }

    /// The number of a word whose [`hash_of`] is given, and whether it is new.
    pub(crate) fn intern(&mut self, word: &str, hash: u64) -> (u32, bool) {
        let (text, entries) = (&self.text, &self.entries);
        let same = |number: &u32| is_word(text, entries[*number as usize], word, hash);
        match self.numbers.entry(hash, same, |number| entries[*number as usize].hash) {
            Slot::Occupied(slot) => (*slot.get(), false),
            Slot::Vacant(slot) => {
                let number = self.entries.len() as u32;
                slot.insert(number);
                let start = self.text.len();
                self.text.push_str(word);
                self.entries.push(Entry { start, end: self.text.len(), hash });
                (number, true)
            }
        }
    }

    /// Takes the next number for something that is no word.
    pub(crate) fn skip(&mut self) -> u32 {
        let at = self.text.len();
        self.entries.push(Entry { start: at, end: at, hash: 0 });
        self.entries.len() as u32 - 1
    }

    /// The number of a word that is there.
    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        let hash = hash_of(word);
        let same = |number: &u32| is_word(&self.text, self.entries[*number as usize], word, hash);
        self.numbers.find(hash, same).copied()
    }

    /// The word with this number.
    pub(crate) fn word(&self, number: u32) -> &str {
        &self.text[place(self.entries[number as usize])]
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

fn is_word(text: &str, entry: Entry, word: &str, hash: u64) -> bool {
    entry.hash == hash && text.as_bytes()[place(entry)] == *word.as_bytes()
}

fn place(entry: Entry) -> Range<usize> {
    entry.start..entry.end
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
    }

    #[test]
    fn postings_are_kept_apart_and_in_order() {
        let postings = Postings::of(&[(2, 0), (0, 0), (2, 1), (3, 4), (0, 5)], 5);
        let all: Vec<&[u32]> = (0..6).map(|stem| postings.of_stem(stem)).collect();
        assert_eq!(all, [&[0, 5][..], &[], &[0, 1], &[4], &[], &[]]);
    }
}
