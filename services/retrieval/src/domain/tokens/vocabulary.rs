//! The o200k_base vocabulary as a table of byte strings, and how a word of text becomes tokens of it.
//!
//! The published tokenizer keeps two hash maps of owned byte strings and looks every word up through a general regex;
//! that is most of what cutting a document costs. Here the same vocabulary, read from the same crate, is one run of
//! bytes and one open table. A property test compares the two token by token.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::OnceLock;

use super::TokenError;

/// Tokens of the vocabulary that stand for bytes; the special ones come after them and are never made from text.
const SIZE: u32 = 199_998;
/// Slots of the table, a power of two: about two of five are taken.
const SLOTS: usize = 1 << 19;
/// Words above this many bytes are merged with a heap: the simple way takes the square of the length.
const LONG: usize = 128;
/// No token: two neighbours that do not merge.
const NONE: u32 = u32::MAX;

/// The vocabulary.
pub(super) struct Vocabulary {
    /// The tokens' bytes, one after the other by rank.
    bytes: Vec<u8>,
    /// Where each token ends in `bytes`.
    ends: Vec<u32>,
    /// Upper half: the upper half of the hash; lower half: rank + 1, or 0 for an empty slot.
    slots: Vec<u64>,
}

/// Memory that merging uses again and again.
#[derive(Default)]
pub(super) struct Scratch {
    parts: Vec<(u32, u32)>,
    next: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32, u32)>>,
}

impl Vocabulary {
    /// The one vocabulary of the process, about 8 MB; read at the first call.
    ///
    /// # Errors
    /// When the crate that carries it cannot read it.
    pub(super) fn get() -> Result<&'static Self, TokenError> {
        static VOCABULARY: OnceLock<Result<Vocabulary, TokenError>> = OnceLock::new();
        VOCABULARY.get_or_init(Self::read).as_ref().map_err(Clone::clone)
    }

    fn read() -> Result<Self, TokenError> {
        let source = tiktoken_rs::o200k_base().map_err(|error| TokenError(error.to_string()))?;
        let mut this =
            Self { bytes: Vec::new(), ends: Vec::with_capacity(SIZE as usize), slots: vec![0; SLOTS] };
        for rank in 0..SIZE {
            let token = source.decode_bytes(&[rank]).map_err(|error| TokenError(error.to_string()))?;
            let hash = hash(&token);
            let mut slot = hash as usize & (SLOTS - 1);
            while this.slots[slot] != 0 {
                slot = (slot + 1) & (SLOTS - 1);
            }
            this.slots[slot] = (hash & UPPER) | u64::from(rank + 1);
            this.bytes.extend_from_slice(&token);
            this.ends.push(this.bytes.len() as u32);
        }
        Ok(this)
    }

    fn rank(&self, token: &[u8]) -> u32 {
        let hash = hash(token);
        let mut slot = hash as usize & (SLOTS - 1);
        loop {
            let held = self.slots[slot];
            if held == 0 {
                return NONE;
            }
            if held & UPPER == hash & UPPER {
                let rank = (held as u32) - 1;
                if self.token(rank) == token {
                    return rank;
                }
            }
            slot = (slot + 1) & (SLOTS - 1);
        }
    }

    fn token(&self, rank: u32) -> &[u8] {
        let at = rank as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }

    /// Calls `ended` with the end of every token of a word, in order. `word` is not empty.
    pub(super) fn tokens(&self, word: &[u8], scratch: &mut Scratch, mut ended: impl FnMut(usize)) {
        if self.rank(word) != NONE {
            ended(word.len());
        } else if word.len() <= LONG {
            self.merge_short(word, &mut scratch.parts);
            scratch.parts[1..].iter().for_each(|(start, _)| ended(*start as usize));
        } else {
            self.merge_long(word, scratch);
            let mut at = 0;
            while at < word.len() {
                at = scratch.next[at] as usize;
                ended(at);
            }
        }
    }

    /// Merges the neighbours of lowest rank until none merge; leaves the parts' starts and the end of the word.
    fn merge_short(&self, word: &[u8], parts: &mut Vec<(u32, u32)>) {
        parts.clear();
        let rank = |from: u32, to: u32| self.rank(&word[from as usize..to as usize]);
        let last = word.len() as u32;
        parts.extend((0..last).map(|at| (at, if at + 2 <= last { rank(at, at + 2) } else { NONE })));
        parts.push((last, NONE));
        while let Some((at, _)) =
            parts.iter().enumerate().map(|(at, part)| (at, part.1)).min_by_key(|(at, rank)| (*rank, *at))
            && parts[at].1 != NONE
        {
            parts.remove(at + 1);
            let joined = |at: usize| parts.get(at + 2).map_or(NONE, |end| rank(parts[at].0, end.0));
            let (own, before) = (joined(at), if at > 0 { joined(at - 1) } else { NONE });
            parts[at].1 = own;
            if at > 0 {
                parts[at - 1].1 = before;
            }
        }
    }

    /// As [`merge_short`](Self::merge_short), for long words: leaves the end of every part at its start in `next`.
    fn merge_long(&self, word: &[u8], Scratch { parts, next, heap }: &mut Scratch) {
        let last = word.len() as u32;
        next.clear();
        next.extend(1..=last);
        // The start of the part before each part.
        parts.clear();
        parts.extend((0..last).map(|at| (at.saturating_sub(1), 0)));
        heap.clear();
        let push = |heap: &mut BinaryHeap<_>, from: u32, to: u32| {
            let rank = self.rank(&word[from as usize..to as usize]);
            if rank != NONE {
                heap.push(Reverse((rank, from, to)));
            }
        };
        (0..last.saturating_sub(1)).for_each(|at| push(heap, at, at + 2));
        while let Some(Reverse((_, from, to))) = heap.pop() {
            let middle = next[from as usize];
            // 0 marks a part that was merged into the one before it; other entries may be of parts that have grown.
            if middle == 0 || middle >= last || next[middle as usize] != to {
                continue;
            }
            next[from as usize] = to;
            next[middle as usize] = 0;
            if to < last {
                parts[to as usize].0 = from;
                push(heap, from, next[to as usize]);
            }
            if from > 0 {
                push(heap, parts[from as usize].0, to);
            }
        }
    }
}

/// The half of a slot that is compared before the bytes are.
const UPPER: u64 = 0xffff_ffff_0000_0000;

/// A hash of short byte strings. The table never changes, so there is nothing to gain by choosing inputs for it.
fn hash(bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state = (state.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    state = (state.rotate_left(23) ^ u64::from_le_bytes(last)).wrapping_mul(FACTOR);
    state ^ (state >> 29)
}
