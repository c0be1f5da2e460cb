//! The inverted index: which chunks hold a term, and how often. A term that nothing holds any more is forgotten.

use std::collections::HashMap;
use std::sync::Arc;

use super::postings::{Posting, Postings};

/// The inverted index.
#[derive(Debug, Default)]
pub struct Words {
    dictionary: HashMap<Arc<str>, u32>,
    terms: Vec<Term>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Term {
    word: Arc<str>,
    postings: Postings,
}

/// What a term costs beside its postings: its entry in the dictionary, which is at most seven eighths full, and its word.
const TERM: usize = 112;

/// What nothing holds.
static NOWHERE: Postings = Postings::EMPTY;

impl Words {
    /// Notes the terms of a chunk and adds their numbers to `numbers`, each once.
    pub fn add(&mut self, slot: u32, words: Vec<String>, numbers: &mut Vec<u32>) {
        let mut found: Vec<u32> = words.into_iter().map(|word| self.number(word)).collect();
        found.sort_unstable();
        for same in found.chunk_by(|left, right| left == right) {
            self.terms[same[0] as usize].postings.add(Posting { slot, count: same.len() as u32 });
            numbers.push(same[0]);
        }
    }

    /// Takes chunks out of the postings of these terms. The slots are in order.
    pub fn remove(&mut self, numbers: &[u32], slots: &[u32]) {
        for number in numbers {
            let term = &mut self.terms[*number as usize];
            term.postings.remove(slots);
            if term.postings.is_empty() {
                self.dictionary.remove(&term.word);
                self.free.push(*number);
            }
        }
    }

    /// The chunks that hold a term.
    pub fn postings(&self, term: &str) -> &Postings {
        self.dictionary.get(term).map_or(&NOWHERE, |number| &self.terms[*number as usize].postings)
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.dictionary.len() * TERM + self.terms.iter().map(|term| term.postings.bytes()).sum::<usize>()
    }

    fn number(&mut self, word: String) -> u32 {
        if let Some(number) = self.dictionary.get(word.as_str()) {
            return *number;
        }
        let word: Arc<str> = word.into();
        let term = Term { word: Arc::clone(&word), postings: Postings::default() };
        let number = match self.free.pop() {
            Some(number) => {
                self.terms[number as usize] = term;
                number
            }
            None => {
                self.terms.push(term);
                (self.terms.len() - 1) as u32
            }
        };
        self.dictionary.insert(word, number);
        number
    }
}
