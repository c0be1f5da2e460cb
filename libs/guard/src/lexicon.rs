//! Words as numbers, and which passages have them, each in a few stretches of memory rather than one a word.

use std::hash::BuildHasher;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Different words, numbered from 0 in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    /// All words, one after the other.
    text: String,
    /// Where each ends in `text`, and its hash.
    entries: Vec<(usize, u64)>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

impl Lexicon {
    /// The number of a word, and whether it is new.
    pub(crate) fn intern(&mut self, word: &str) -> (u32, bool) {
        let hash = self.hasher.hash_one(word);
        if let Some(number) = self.find_hashed(word, hash) {
            return (number, false);
        }
        let number = self.entries.len() as u32;
        self.text.push_str(word);
        self.entries.push((self.text.len(), hash));
        let entries = &self.entries;
        self.numbers.insert_unique(hash, number, |number| entries[*number as usize].1);
        (number, true)
    }

    /// The number of a word that is there.
    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        self.find_hashed(word, self.hasher.hash_one(word))
    }

    fn find_hashed(&self, word: &str, hash: u64) -> Option<u32> {
        let same = |number: &u32| self.entries[*number as usize].1 == hash && self.word(*number) == word;
        self.numbers.find(hash, same).copied()
    }

    /// The word with this number.
    pub(crate) fn word(&self, number: u32) -> &str {
        &self.text[self.place(number as usize)]
    }

    fn place(&self, number: usize) -> Range<usize> {
        let start = number.checked_sub(1).map_or(0, |before| self.entries[before].0);
        start..self.entries[number].0
    }

    /// How many different words there are.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
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
            assert_eq!(lexicon.intern(word), (at, true));
        }
        for (at, word) in (0..).zip(&words) {
            assert_eq!((lexicon.intern(word), lexicon.word(at)), ((at, false), word.as_str()));
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
