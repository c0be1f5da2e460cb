//! The inverted index: which chunks hold a term, and how often. A term that nothing holds any more is forgotten.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::super::terms::{Count, TermId};
use super::postings::{Posting, Postings};

/// The inverted index.
#[derive(Debug, Default)]
pub struct Words {
    dictionary: HashMap<TermId, u32, BuildHasherDefault<AsItIs>>,
    terms: Vec<Term>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Term {
    id: TermId,
    postings: Postings,
}

/// The numbers of terms are hashes already.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// What a term costs beside its postings: its place, and its entry in the dictionary, which is at most seven eighths
/// full.
const TERM: usize = size_of::<Term>() * 5 / 4 + 32;

/// What nothing holds.
static NOWHERE: Postings = Postings::EMPTY;

impl Words {
    /// Notes the terms of a chunk, each once by its number here, and how many there are.
    pub fn add(&mut self, slot: u32, length: u32, terms: &[Count]) {
        let length = small(length);
        for one in terms {
            self.terms[one.term as usize].postings.add(Posting { slot, count: small(one.count), length });
        }
    }

    /// Takes chunks out of the postings of these terms. The slots are in order.
    pub fn remove(&mut self, numbers: impl Iterator<Item = u32>, slots: &[u32]) {
        for number in numbers {
            let term = &mut self.terms[number as usize];
            term.postings.remove(slots);
            if term.postings.is_empty() {
                self.dictionary.remove(&term.id);
                self.free.push(number);
            }
        }
    }

    /// The chunks that hold a term.
    pub fn postings(&self, term: TermId) -> &Postings {
        self.dictionary.get(&term).map_or(&NOWHERE, |number| &self.terms[*number as usize].postings)
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.dictionary.len() * TERM + self.terms.iter().map(|term| term.postings.bytes()).sum::<usize>()
    }

    /// The number that a term has here; a new one gets one, and must get a posting.
    pub fn number(&mut self, id: TermId) -> u32 {
        let (terms, free) = (&mut self.terms, &mut self.free);
        *self.dictionary.entry(id).or_insert_with(|| {
            let term = Term { id, postings: Postings::default() };
            match free.pop() {
                Some(number) => {
                    terms[number as usize] = term;
                    number
                }
                None => {
                    terms.push(term);
                    (terms.len() - 1) as u32
                }
            }
        })
    }
}

/// A count or a length as scores take it: no chunk is so large that what lies beyond counts.
pub fn small(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
