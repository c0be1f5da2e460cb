//! Where a term stands: a list in order of slot, cut into blocks, so that a change in the middle of a long list moves
//! little.

/// That a chunk holds a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The chunk's slot.
    pub slot: u32,
    /// How often.
    pub count: u32,
}

/// Most postings of a block.
const BLOCK: usize = 256;

/// The postings of one term.
#[derive(Debug, Default)]
pub struct Postings {
    /// None is empty.
    blocks: Vec<Vec<Posting>>,
    len: usize,
}

impl Postings {
    /// Those of a term that nothing holds.
    pub(super) const EMPTY: Self = Self { blocks: Vec::new(), len: 0 };

    /// How many chunks hold the term.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, in order of slot.
    pub fn iter(&self) -> impl Iterator<Item = &Posting> {
        self.blocks.iter().flatten()
    }

    /// A place before the first.
    pub fn start(&self) -> Cursor<'_> {
        let (first, blocks) =
            self.blocks.split_first().map_or((&[][..], &[][..]), |(first, rest)| (first, rest));
        Cursor { block: first, blocks }
    }

    /// Adds one for a slot that has none.
    pub(super) fn add(&mut self, posting: Posting) {
        self.len += 1;
        // Most come in order.
        let last =
            self.blocks.last().and_then(|block| block.last()).is_none_or(|last| last.slot < posting.slot);
        let at = if last { self.blocks.len().saturating_sub(1) } else { self.block_of(posting.slot) };
        let Some(block) = self.blocks.get_mut(at) else {
            self.blocks.push(vec![posting]);
            return;
        };
        if block.len() < BLOCK {
            let place = if last { block.len() } else { block.partition_point(|own| own.slot < posting.slot) };
            if block.len() == block.capacity() {
                block.reserve_exact((block.len() / 2).clamp(1, BLOCK - block.len()));
            }
            block.insert(place, posting);
        } else if last {
            self.blocks.push(vec![posting]);
        } else {
            let half = block.split_off(BLOCK / 2);
            self.blocks.insert(at + 1, half);
            self.len -= 1;
            self.add(posting);
        }
    }

    /// Takes out those of these slots, which are in order.
    pub(super) fn remove(&mut self, slots: &[u32]) {
        let mut slots = slots;
        while let Some(first) = slots.first() {
            let at = self.block_of(*first);
            let Some(block) = self.blocks.get_mut(at) else { return };
            let Some(last) = block.last().map(|last| last.slot) else { return };
            let inside = slots.partition_point(|slot| *slot <= last);
            if inside == 0 {
                return;
            }
            let (own, rest) = slots.split_at(inside);
            slots = rest;
            let before = block.len();
            let start = block.partition_point(|posting| posting.slot < own[0]);
            let end = block.partition_point(|posting| posting.slot <= own[own.len() - 1]);
            let kept: Vec<Posting> = block[start..end]
                .iter()
                .filter(|own_posting| own.binary_search(&own_posting.slot).is_err())
                .copied()
                .collect();
            block.splice(start..end, kept);
            self.len -= before - block.len();
            if block.is_empty() {
                self.blocks.remove(at);
            }
        }
    }

    /// The block in which a slot stands or would stand: the first that does not end before it, or the last.
    fn block_of(&self, slot: u32) -> usize {
        let at = self.blocks.partition_point(|block| block.last().is_some_and(|last| last.slot < slot));
        at.min(self.blocks.len().saturating_sub(1))
    }

    /// How many bytes its lists take.
    pub(super) fn bytes(&self) -> usize {
        const ALLOCATION: usize = 16;
        let block = |block: &Vec<Posting>| {
            block.capacity() * size_of::<Posting>() + size_of::<Vec<Posting>>() + ALLOCATION
        };
        self.blocks.iter().map(block).sum::<usize>() + ALLOCATION
    }
}

/// A place in a term's postings.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    block: &'a [Posting],
    blocks: &'a [Vec<Posting>],
}

impl<'a> Cursor<'a> {
    /// The slot of the next posting.
    pub fn next_slot(&self) -> Option<u32> {
        self.block.first().map(|posting| posting.slot)
    }

    /// Reads the postings of slots below `end`, a piece of them at a time; `None` when all of them were read.
    pub fn piece_below(&mut self, end: u32) -> Option<&'a [Posting]> {
        let inside = self.block.partition_point(|posting| posting.slot < end);
        let (piece, rest) = self.block.split_at(inside);
        self.block = rest;
        if rest.is_empty()
            && let Some((next, blocks)) = self.blocks.split_first()
        {
            (self.block, self.blocks) = (next, blocks);
        }
        (!piece.is_empty()).then_some(piece)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_an_ordered_map(steps in prop::collection::vec((any::<bool>(), 0u32..3000, 1u32..700), 0..12), windows in 1u32..900) {
            let (mut postings, mut map) = (Postings::default(), BTreeMap::new());
            for (add, from, count) in steps {
                let slots: Vec<u32> = (from..from + count).collect();
                if add {
                    for slot in slots.into_iter().step_by(2) {
                        if map.insert(slot, count).is_none() {
                            postings.add(Posting { slot, count });
                        } else {
                            postings.remove(&[slot]);
                            postings.add(Posting { slot, count });
                        }
                    }
                } else {
                    let slots: Vec<u32> = slots.into_iter().step_by(3).collect();
                    map.retain(|slot, _| !slots.contains(slot));
                    postings.remove(&slots);
                }
            }
            let all: Vec<(u32, u32)> = postings.iter().map(|own| (own.slot, own.count)).collect();
            prop_assert_eq!(&all, &map.into_iter().collect::<Vec<_>>());
            prop_assert_eq!((postings.len(), postings.is_empty()), (all.len(), all.is_empty()));
            prop_assert!(postings.blocks.iter().all(|block| (1..=BLOCK).contains(&block.len())));
            let (mut read, mut cursor, mut end) = (Vec::new(), postings.start(), 0);
            while cursor.next_slot().is_some() {
                end += windows;
                while let Some(piece) = cursor.piece_below(end) {
                    prop_assert!(piece.iter().all(|own| own.slot < end && own.slot >= end - windows));
                    read.extend(piece.iter().map(|own| (own.slot, own.count)));
                }
            }
            prop_assert_eq!(read, all);
        }
    }
}
