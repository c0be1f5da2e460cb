//! The inverted index: which chunks hold a term, and how often.
//!
//! Postings are in order of slot, so that a search can go through all of them side by side, and so that what a document
//! leaves behind is found without reading the rest. A term that nothing holds any more is forgotten.

use std::collections::HashMap;
use std::sync::Arc;

/// That a chunk holds a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The chunk's slot.
    pub slot: u32,
    /// How often.
    pub count: u32,
}

/// The inverted index.
#[derive(Debug, Default)]
pub struct Words {
    dictionary: HashMap<Arc<str>, u32>,
    terms: Vec<Term>,
    free: Vec<u32>,
    room: usize,
}

#[derive(Debug)]
struct Term {
    word: Arc<str>,
    postings: Vec<Posting>,
}

/// What a term costs beside its postings: its entries in the dictionary and the list, and two allocations.
const TERM: usize = 112;

impl Words {
    /// Notes the terms of a chunk and adds their numbers to `numbers`, each once.
    pub fn add(&mut self, slot: u32, words: Vec<String>, numbers: &mut Vec<u32>) {
        let mut found: Vec<u32> = words.into_iter().map(|word| self.number(word)).collect();
        found.sort_unstable();
        for same in found.chunk_by(|left, right| left == right) {
            let posting = Posting { slot, count: same.len() as u32 };
            let term = &mut self.terms[same[0] as usize];
            self.room -= term.postings.capacity();
            // Slots are used again: the new one may stand anywhere.
            match term.postings.last() {
                Some(last) if last.slot > slot => {
                    let at = term.postings.partition_point(|own| own.slot < slot);
                    term.postings.insert(at, posting);
                }
                _ => push(&mut term.postings, posting),
            }
            self.room += term.postings.capacity();
            numbers.push(same[0]);
        }
    }

    /// Takes chunks out of the postings of these terms. The slots are in order.
    pub fn remove(&mut self, numbers: &[u32], slots: &[u32]) {
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else { return };
        for number in numbers {
            let term = &mut self.terms[*number as usize];
            let start = term.postings.partition_point(|posting| posting.slot < *first);
            let end = term.postings.partition_point(|posting| posting.slot <= *last);
            let range = &term.postings[start..end];
            let gone = |posting: &&Posting| slots.binary_search(&posting.slot).is_ok();
            if range.iter().all(|posting| gone(&posting)) {
                term.postings.drain(start..end);
            } else {
                let kept: Vec<Posting> = range.iter().filter(|posting| !gone(posting)).copied().collect();
                term.postings.splice(start..end, kept);
            }
            if term.postings.is_empty() {
                self.room -= term.postings.capacity();
                term.postings = Vec::new();
                self.dictionary.remove(&term.word);
                self.free.push(*number);
            }
        }
    }

    /// The chunks that hold a term, in order of slot.
    pub fn postings(&self, term: &str) -> &[Posting] {
        self.dictionary.get(term).map_or(&[], |number| &self.terms[*number as usize].postings)
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.room * size_of::<Posting>() + self.dictionary.len() * TERM
    }

    fn number(&mut self, word: String) -> u32 {
        if let Some(number) = self.dictionary.get(word.as_str()) {
            return *number;
        }
        let word: Arc<str> = word.into();
        let term = Term { word: Arc::clone(&word), postings: Vec::new() };
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

/// Adds one to the end. Long lists grow by an eighth: doubling would leave half of the index's memory empty.
fn push(postings: &mut Vec<Posting>, posting: Posting) {
    if postings.len() == postings.capacity() {
        let more = if postings.len() < 64 { postings.len().max(1) } else { postings.len() / 8 };
        postings.reserve_exact(more);
    }
    postings.push(posting);
}
