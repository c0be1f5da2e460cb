//! The search structures of one knowledge base in memory: an inverted index and, with an embedder, a matrix and, where it
//! weighs tokens, a second inverted index.
//!
//! Documents come and go as wholes. Every number that a score rests on (how many chunks, how long, how many hold a
//! term) is kept exactly, so an index that was changed a thousand times scores like one that was built afresh, and
//! nothing outside the knowledge base moves its scores.

mod bits;
mod graph;
mod guide;
mod matrix;
mod packed;
mod postings;
mod products;
mod tokens;
mod views;
mod words;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use copydesk_types::{DocumentId, PassageId};

pub use bits::{Bits, ones};
pub use graph::{Graph, Notes, Shape};
pub use guide::{Effort, Guide, Plan, Wish};
pub use matrix::{Matrix, Probe, Sight, unit};
pub use postings::{Cursor, Posting, Postings, Reach};
pub use words::small;

use super::filter::Facts;
use super::lens::Lens;
use super::source::SourceKind;
use super::terms::{Count, DocumentTerms, TermId};
use super::token_weights::TokenWeights;
use packed::Packed;
use tokens::Tokens;
use views::Views;
use words::Words;

/// A document as the index takes it.
#[derive(Debug, Clone)]
pub struct IndexedDocument {
    /// What filters may ask of it.
    pub facts: Facts,
    /// The terms of its title and of each of its chunks.
    pub terms: DocumentTerms,
    /// Its child chunks, in order of the text.
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
    /// Its embedding, if it has one.
    pub vector: Option<Vec<f32>>,
    /// The learned weights of its tokens, if it has some.
    pub weights: Option<TokenWeights>,
}

/// One knowledge base's index.
#[derive(Debug, Default)]
pub struct KnowledgeIndex {
    words: Words,
    tokens: Tokens,
    matrix: Matrix,
    guide: Guide,
    slots: Vec<Slot>,
    /// How many terms the chunk in each slot has. Apart, because the lexical leg reads nothing else of most chunks.
    lengths: Vec<u32>,
    used: Bits,
    free: Vec<u32>,
    documents: HashMap<DocumentId, Held>,
    views: Views,
    length: u64,
    held: usize,
}

/// What a leg needs to know of a chunk. A document has at most 4 GiB.
#[derive(Debug, Clone, Copy)]
pub struct Slot {
    /// The passage it is in.
    pub passage: PassageId,
    /// Its place in the passage.
    pub ordinal: u32,
    /// What kind of source its document is.
    pub kind: SourceKind,
    start: u32,
    end: u32,
}

impl Slot {
    /// Its bytes in the document's text.
    pub fn span(&self) -> Range<u64> {
        u64::from(self.start)..u64::from(self.end)
    }
}

/// A document that is in.
#[derive(Debug)]
struct Held {
    facts: Facts,
    /// In order.
    slots: Box<[u32]>,
    /// The numbers of its terms, so that it can be taken out again.
    terms: Packed,
}

impl KnowledgeIndex {
    /// Puts a document in, replacing what was there under its id.
    pub fn put(&mut self, document: IndexedDocument) {
        let IndexedDocument { facts, terms: own, chunks } = document;
        self.remove(facts.id);
        // A chunk is found by its own words and by those of its document's title: a part of a long text often does not
        // say again what it is about.
        let mut numbers: Vec<Option<u32>> = vec![None; own.terms.len()];
        let (mut slots, mut found) = (Vec::with_capacity(chunks.len()), Vec::new());
        let mut weighed = Vec::new();
        for (at, mut chunk) in chunks.into_iter().enumerate() {
            found.clear();
            found.extend(own.of_chunk(at).map(|one| {
                let at = one.term as usize;
                let term = *numbers[at].get_or_insert_with(|| self.words.number(own.terms[at]));
                Count { term, ..one }
            }));
            let weights = chunk.weights.take();
            let slot = self.add(facts.kind, chunk, &found);
            weighed.extend(weights.map(|weights| (slot, weights)));
            slots.push(slot);
        }
        self.tokens.put(facts.id, &weighed);
        slots.sort_unstable();
        let mut terms: Vec<u32> = numbers.into_iter().flatten().collect();
        terms.sort_unstable();
        self.views.add(&facts, &slots);
        let held = Held { slots: slots.into(), terms: Packed::new(&terms), facts };
        self.held += held.bytes();
        self.documents.insert(held.facts.id, held);
    }

    /// Takes a document out; nothing happens when it is not in.
    pub fn remove(&mut self, id: DocumentId) {
        let Some(held) = self.documents.remove(&id) else { return };
        self.held -= held.bytes();
        self.words.remove(held.terms.iter(), &held.slots);
        self.tokens.remove(id, &held.slots);
        self.views.remove(&held.slots);
        for slot in &held.slots {
            self.length -= u64::from(self.lengths[*slot as usize]);
            self.used.remove(*slot);
            if self.matrix.has(*slot) {
                self.matrix.clear(*slot);
                self.guide.went(*slot);
            }
        }
        // From the back, so that they are used again in order.
        self.free.extend(held.slots.iter().rev());
    }

    fn add(&mut self, kind: SourceKind, chunk: IndexedChunk, terms: &[Count]) -> u32 {
        let length = terms.iter().map(|one| one.count).sum();
        let (start, end) = (chunk.span.start as u32, chunk.span.end as u32);
        let slot = Slot { passage: chunk.passage, ordinal: chunk.ordinal, kind, start, end };
        let at = match self.free.pop() {
            Some(at) => {
                (self.slots[at as usize], self.lengths[at as usize]) = (slot, length);
                at
            }
            None => {
                push(&mut self.slots, slot);
                push(&mut self.lengths, length);
                (self.slots.len() - 1) as u32
            }
        };
        self.used.insert(at);
        self.length += u64::from(length);
        self.words.add(at, length, terms);
        if let Some(vector) = chunk.vector {
            self.set(at, &vector);
        }
        at
    }

    fn set(&mut self, slot: u32, vector: &[f32]) {
        let width = self.matrix.width();
        self.matrix.set(slot, vector);
        if self.matrix.width() != width {
            self.guide = Guide::default();
        }
        if self.matrix.has(slot) {
            self.guide.came(slot);
        }
    }

    /// How many chunks there are.
    pub fn chunks(&self) -> u64 {
        self.used.len() as u64
    }

    /// How many documents there are.
    pub fn documents(&self) -> usize {
        self.documents.len()
    }

    /// How many terms all chunks have together, repeats included.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The chunks that hold a term.
    pub fn postings(&self, term: TermId) -> &Postings {
        self.words.postings(term)
    }

    /// The chunks that hold a token, by what it counts in each, in units of [`TokenWeights`].
    pub fn holding(&self, token: u32) -> &Postings {
        self.tokens.postings(token)
    }

    /// The chunk in a slot; `None` for an empty one.
    pub fn slot(&self, slot: u32) -> Option<&Slot> {
        if self.used.contains(slot) { self.slots.get(slot as usize) } else { None }
    }

    /// How many terms the chunk in a slot has; 0 for a slot that never was.
    pub fn length_of(&self, slot: u32) -> u32 {
        self.lengths.get(slot as usize).copied().unwrap_or_default()
    }

    /// How many slots there are, empty ones included.
    pub fn slots(&self) -> u32 {
        self.slots.len() as u32
    }

    /// The vectors.
    pub fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// What should be done about the graph, which is wanted above a number of vectors.
    pub fn wish(&self, graph_above: usize) -> Wish {
        self.guide.wish(self.matrix.rows(), graph_above)
    }

    /// Fulfils a wish, or says what it takes: the slots of the plan are entered into its graph, from here, and the graph
    /// is given back with [`KnowledgeIndex::end_graph`]. One at a time.
    pub fn begin_graph(&mut self, wish: Wish) -> Option<Plan> {
        self.guide.begin(wish, &self.matrix, self.slots.len() as u32)
    }

    /// Takes a graph that was made by a plan. It is dropped when the vectors are of another embedder since.
    pub fn end_graph(&mut self, graph: Graph) {
        self.guide.end(graph, &self.matrix, self.slots.len() as u32);
    }

    /// Of the visible slots those that are worth a close look, at least `wanted`; `None` when all of them are.
    pub fn lead(&self, probe: &Probe, visible: &Bits, wanted: usize, effort: Effort) -> Option<Bits> {
        self.guide.lead(&self.matrix, probe, visible, wanted, effort)
    }

    /// The slots of the chunks that a lens lets through.
    pub fn visible(&self, lens: &Lens) -> Arc<Bits> {
        self.views.through(lens, self.documents.values().map(|held| (&held.facts, &*held.slots)))
    }

    /// How many chunks a lens lets through, where that is known; else how many there are.
    pub fn about_visible(&self, lens: &Lens) -> u64 {
        self.views.known(lens).map_or(self.chunks(), |slots| slots as u64)
    }

    /// What filters ask of a document that is in.
    pub fn facts(&self, id: DocumentId) -> Option<&Facts> {
        self.documents.get(&id).map(|held| &held.facts)
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let numbers = (self.lengths.capacity() + self.free.capacity()) * size_of::<u32>();
        let slots = self.slots.capacity() * size_of::<Slot>() + self.used.bytes() + numbers;
        let near = self.matrix.bytes() + self.guide.bytes();
        self.words.bytes() + self.tokens.bytes() + near + slots + self.held + self.views.bytes()
    }
}

/// Pushes to a list that is never much longer than it must be: it grows by an eighth, not to the double.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() == list.capacity() {
        list.reserve_exact(list.len() / 8 + 8);
    }
    list.push(item);
}

impl Held {
    /// About how many bytes of memory it takes, what the words and the matrix hold of it not counted.
    fn bytes(&self) -> usize {
        const ALLOCATIONS: usize = 5 * 16;
        // A table of hashes grows from nearly full to half full.
        let entry = (size_of::<Self>() + size_of::<DocumentId>()) * 3 / 2;
        let numbers = self.slots.len() * size_of::<u32>() + self.terms.bytes();
        let facts = self.facts.key.len() + self.facts.title.len() + self.facts.attributes.bytes();
        entry + ALLOCATIONS + numbers + facts
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
