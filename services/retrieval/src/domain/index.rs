//! The search structures of one knowledge base in memory: an inverted index and, with an embedder, a matrix.
//!
//! Documents come and go as wholes. Every number that a score rests on (how many chunks, how long, how many hold a
//! term) is kept exactly, so an index that was changed a thousand times scores like one that was built afresh, and
//! nothing outside the knowledge base moves its scores.

use std::collections::HashMap;
use std::ops::Range;

use copydesk_types::{DocumentId, PassageId};

use super::source::SourceKind;

/// A document as the index takes it.
#[derive(Debug, Clone)]
pub struct IndexedDocument {
    /// Its id.
    pub id: DocumentId,
    /// What kind of source it is, for filters.
    pub kind: SourceKind,
    /// Its child chunks.
    pub chunks: Vec<IndexedChunk>,
}

/// A child chunk as the index takes it.
#[derive(Debug, Clone)]
pub struct IndexedChunk {
    /// The passage it is in.
    pub passage: PassageId,
    /// Its place in the passage, from 0.
    pub ordinal: u32,
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// Its terms, repeats included.
    pub terms: Vec<String>,
    /// Its embedding, if it has one.
    pub vector: Option<Vec<f32>>,
}

/// One knowledge base's index.
#[derive(Debug, Default)]
pub struct KnowledgeIndex {
    dictionary: HashMap<Box<str>, u32>,
    postings: Vec<Vec<Posting>>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    documents: HashMap<DocumentId, Vec<u32>>,
    chunks: u64,
    length: u64,
    matrix: Matrix,
}

/// That a chunk holds a term.
#[derive(Debug, Clone, Copy)]
pub struct Posting {
    /// The chunk's slot.
    pub slot: u32,
    /// How often.
    pub count: u32,
}

/// What a leg needs to know of a chunk.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The passage it is in.
    pub passage: PassageId,
    /// Its place in the passage.
    pub ordinal: u32,
    /// Its bytes in the document's text.
    pub span: Range<u64>,
    /// What kind of source its document is.
    pub kind: SourceKind,
    /// How many terms it has.
    pub length: u32,
    /// Its distinct terms, so that it can be taken out again.
    terms: Box<[u32]>,
}

/// Unit vectors in rows, one for each slot; a row of zeros where there is none.
#[derive(Debug, Default)]
struct Matrix {
    width: usize,
    rows: Vec<f32>,
}

impl KnowledgeIndex {
    /// Puts a document in, replacing what was there under its id.
    pub fn put(&mut self, document: IndexedDocument) {
        self.remove(document.id);
        let slots = document.chunks.into_iter().map(|chunk| self.add(document.kind, chunk)).collect();
        self.documents.insert(document.id, slots);
    }

    /// Takes a document out; nothing happens when it is not in.
    pub fn remove(&mut self, id: DocumentId) {
        let removed = self.documents.remove(&id).unwrap_or_default();
        let mut terms = Vec::new();
        for slot in &removed {
            if let Some(chunk) = self.slots[*slot as usize].take() {
                self.chunks -= 1;
                self.length -= u64::from(chunk.length);
                terms.extend_from_slice(&chunk.terms);
            }
            self.matrix.clear(*slot);
        }
        terms.sort_unstable();
        terms.dedup();
        for term in terms {
            self.postings[term as usize].retain(|posting| self.slots[posting.slot as usize].is_some());
        }
        self.free.extend(removed);
    }

    fn add(&mut self, kind: SourceKind, chunk: IndexedChunk) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        let length = chunk.terms.len() as u32;
        let mut counts: HashMap<u32, u32> = HashMap::new();
        for term in chunk.terms {
            *counts.entry(self.term(term)).or_default() += 1;
        }
        for (term, count) in &counts {
            self.postings[*term as usize].push(Posting { slot, count: *count });
        }
        self.chunks += 1;
        self.length += u64::from(length);
        if let Some(vector) = chunk.vector {
            self.matrix.set(slot, &vector);
        }
        let terms = counts.into_keys().collect();
        let (passage, ordinal, span) = (chunk.passage, chunk.ordinal, chunk.span);
        self.slots[slot as usize] = Some(Slot { passage, ordinal, span, kind, length, terms });
        slot
    }

    fn term(&mut self, word: String) -> u32 {
        let next = self.postings.len() as u32;
        let term = *self.dictionary.entry(word.into_boxed_str()).or_insert(next);
        if term == next {
            self.postings.push(Vec::new());
        }
        term
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// How many terms all chunks have together, repeats included.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The chunks that hold a term.
    pub fn postings(&self, term: &str) -> &[Posting] {
        self.dictionary.get(term).map_or(&[], |term| &self.postings[*term as usize])
    }

    /// The chunk in a slot; `None` for an empty one.
    pub fn slot(&self, slot: u32) -> Option<&Slot> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// How many slots there are, empty ones included.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The unit vector of the chunk in a slot, if it has one.
    pub fn vector(&self, slot: u32) -> Option<&[f32]> {
        let start = (slot as usize).checked_mul(self.matrix.width)?;
        let row = self.matrix.rows.get(start..start + self.matrix.width)?;
        row.iter().any(|value| *value != 0.0).then_some(row)
    }

    /// Every chunk that has a unit vector of this width, with the vector.
    pub fn vectors(&self, width: usize) -> impl Iterator<Item = (&Slot, &[f32])> {
        let rows = if width == self.matrix.width && width > 0 { self.matrix.rows.as_slice() } else { &[] };
        let rows = rows.chunks_exact(width.max(1)).zip(&self.slots);
        rows.filter_map(|(row, slot)| slot.as_ref().map(|slot| (slot, row)))
            .filter(|(_, row)| row.iter().any(|value| *value != 0.0))
    }
}

impl Matrix {
    /// A vector of another width is of another embedder: the knowledge base was reembedded, and the vectors that are
    /// here are those of documents whose new ones come next.
    fn set(&mut self, slot: u32, vector: &[f32]) {
        let norm = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
        if !norm.is_finite() || norm == 0.0 {
            return;
        }
        if vector.len() != self.width {
            self.width = vector.len();
            self.rows.clear();
        }
        let start = slot as usize * self.width;
        self.rows.resize(self.rows.len().max(start + self.width), 0.0);
        for (to, from) in self.rows[start..start + self.width].iter_mut().zip(vector) {
            *to = (f64::from(*from) / norm) as f32;
        }
    }

    fn clear(&mut self, slot: u32) {
        let start = slot as usize * self.width;
        if let Some(row) = self.rows.get_mut(start..start + self.width) {
            row.fill(0.0);
        }
    }
}

#[cfg(test)]
pub(crate) mod fixture {
    use super::*;

    /// A document of one-chunk passages with these texts; its id and its passages' ids are `id` and what follows.
    pub(crate) fn document(id: u128, kind: SourceKind, texts: &[&str]) -> IndexedDocument {
        let chunks = texts.iter().enumerate().map(|(at, text)| IndexedChunk {
            passage: PassageId::from_u128(id + at as u128),
            ordinal: 0,
            span: 0..text.len() as u64,
            terms: copydesk_guard::text::terms(text),
            vector: None,
        });
        IndexedDocument { id: DocumentId::from_u128(id), kind, chunks: chunks.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors(index: &KnowledgeIndex, width: usize) -> Vec<Vec<f32>> {
        index.vectors(width).map(|(_, vector)| vector.to_vec()).collect()
    }

    #[test]
    fn removal_leaves_nothing_behind_and_slots_are_used_again() {
        let mut index = KnowledgeIndex::default();
        index.put(fixture::document(1, SourceKind::Post, &["cold van", "cold truck"]));
        index.put(fixture::document(9, SourceKind::Post, &["warm van"]));
        index.remove(DocumentId::from_u128(1));
        assert_eq!((index.chunks(), index.length()), (1, 2));
        assert_eq!((index.postings("cold").len(), index.postings("van").len()), (0, 1));
        index.put(fixture::document(9, SourceKind::Post, &["cold truck", "cold cold"]));
        assert_eq!((index.chunks(), index.slots(), index.postings("cold").len()), (2, 3, 2));
        assert!(index.postings("warm").is_empty());
    }

    #[test]
    fn vectors_are_units_and_go_with_their_document() {
        let mut index = KnowledgeIndex::default();
        let mut document = fixture::document(1, SourceKind::Post, &["a", "b", "c", "d"]);
        let given = [Some(vec![1.0, 2.0, 3.0]), None, Some(vec![0.0, 0.0]), Some(vec![3.0, 4.0])];
        for (chunk, vector) in document.chunks.iter_mut().zip(given) {
            chunk.vector = vector;
        }
        index.put(document);
        assert_eq!(vectors(&index, 2), [[0.6, 0.8]]);
        assert!(vectors(&index, 3).is_empty() && vectors(&index, 0).is_empty());
        index.remove(DocumentId::from_u128(1));
        assert!(vectors(&index, 2).is_empty());
    }
}
