//! The inverted index of learned weights: which chunks hold a token, and what it counts in each. Lists as those of words,
//! with a token's units in place of a count and no length. Empty, it takes nothing.

use std::collections::HashMap;

use copydesk_types::DocumentId;

use super::super::terms::{Count, TermId};
use super::super::token_weights::TokenWeights;
use super::packed::Packed;
use super::postings::Postings;
use super::words::Words;

/// The inverted index.
#[derive(Debug, Default)]
pub struct Tokens {
    lists: Words,
    /// The numbers of each document's tokens, so that it can be taken out again.
    held: HashMap<DocumentId, Packed>,
    bytes: usize,
}

/// A token's name in the lists, whose table takes names for hashes: spread over all bits, each token another.
fn name(token: u32) -> TermId {
    TermId::from_number(u64::from(token).wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

impl Tokens {
    /// Enters the chunks of a document that is not in.
    pub fn put(&mut self, id: DocumentId, chunks: &[(u32, TokenWeights)]) {
        let mut numbers = Vec::new();
        for (slot, weights) in chunks {
            let mut number = |(token, units): (u32, u16)| Count {
                term: self.lists.number(name(token)),
                count: units.into(),
            };
            let counts: Vec<Count> = weights.iter().map(&mut number).collect();
            self.lists.add(*slot, 0, &counts);
            numbers.extend(counts.iter().map(|one| one.term));
        }
        if numbers.is_empty() {
            return;
        }
        numbers.sort_unstable();
        numbers.dedup();
        let numbers = Packed::new(&numbers);
        self.bytes += numbers.bytes();
        self.held.insert(id, numbers);
    }

    /// Takes a document out, whose chunks are in these slots, which are in order.
    pub fn remove(&mut self, id: DocumentId, slots: &[u32]) {
        if let Some(numbers) = self.held.remove(&id) {
            self.bytes -= numbers.bytes();
            self.lists.remove(numbers.iter(), slots);
        }
    }

    /// The chunks that hold a token, by its units in each.
    pub fn postings(&self, token: u32) -> &Postings {
        self.lists.postings(name(token))
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        // A table of hashes grows from nearly full to half full; each list of numbers is an allocation.
        let entry = (size_of::<DocumentId>() + size_of::<Packed>()) * 3 / 2 + 16;
        self.lists.bytes() + self.held.len() * entry + self.bytes
    }
}
