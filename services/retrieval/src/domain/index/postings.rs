//! Where a term stands: a list in order of slot, cut into blocks, so that a change in the middle of a long list moves
//! little. Each block knows how far its postings reach, so that a search can pass over blocks that hold nothing good.

/// That a chunk holds a term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The chunk's slot.
    pub slot: u32,
    /// How often.
    pub count: u16,
    /// How many terms the chunk has.
    pub length: u16,
}

/// Most postings of a block.
const BLOCK: usize = 256;

/// What the postings of a block have at best. A chunk counts the more, the more often it holds the term and the shorter
/// it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The length of the shortest chunk that holds the term at least once, twice, three times and so on.
    shortest: [u16; Self::COUNTS],
    /// How often the term comes in one chunk at most.
    most: u16,
}

impl Reach {
    const COUNTS: usize = 4;
    /// That of no postings.
    const NONE: Self = Self { shortest: [u16::MAX; Self::COUNTS], most: 0 };

    fn of(postings: &[Posting]) -> Self {
        postings.iter().fold(Self::NONE, Self::with)
    }

    fn with(mut self, posting: &Posting) -> Self {
        for (before, shortest) in self.shortest.iter_mut().enumerate() {
            if usize::from(posting.count) > before {
                *shortest = posting.length.min(*shortest);
            }
        }
        self.most = self.most.max(posting.count);
        self
    }

    /// That of both.
    fn and(mut self, other: &Self) -> Self {
        for (own, other) in self.shortest.iter_mut().zip(other.shortest) {
            *own = other.min(*own);
        }
        self.most = self.most.max(other.most);
        self
    }

    /// Counts with lengths, one of which is worth at least as much as any posting of the block, by any measure that grows
    /// with the count and falls with the length. None for a block of nothing.
    pub fn best(&self) -> impl Iterator<Item = (u16, u16)> {
        let held = usize::from(self.most).min(Self::COUNTS);
        let count = move |at: usize| if at + 1 == Self::COUNTS { self.most } else { at as u16 + 1 };
        self.shortest[..held].iter().enumerate().map(move |(at, shortest)| (count(at), *shortest))
    }
}

/// Some of a term's postings; never none.
#[derive(Debug)]
struct Block {
    postings: Vec<Posting>,
    reach: Reach,
}

impl Block {
    fn new(postings: Vec<Posting>) -> Self {
        Self { reach: Reach::of(&postings), postings }
    }

    fn last(&self) -> u32 {
        self.postings.last().map_or(0, |last| last.slot)
    }
}

/// The postings of one term.
#[derive(Debug, Default)]
pub struct Postings {
    blocks: Vec<Block>,
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
        self.blocks.iter().flat_map(|block| &block.postings)
    }

    /// A place before the first.
    pub fn start(&self) -> Cursor<'_> {
        Cursor { blocks: &self.blocks, at: 0 }
    }

    /// Adds one for a slot that has none.
    pub(super) fn add(&mut self, posting: Posting) {
        self.len += 1;
        // Most come in order.
        let last = self.blocks.last().is_none_or(|block| block.last() < posting.slot);
        let at = if last { self.blocks.len().saturating_sub(1) } else { self.block_of(posting.slot) };
        let Some(block) = self.blocks.get_mut(at) else {
            // Most terms never need a second one.
            self.blocks.reserve_exact(1);
            self.blocks.push(Block::new(vec![posting]));
            return;
        };
        let held = &mut block.postings;
        if held.len() < BLOCK {
            let place = if last { held.len() } else { held.partition_point(|own| own.slot < posting.slot) };
            if held.len() == held.capacity() {
                held.reserve_exact((held.len() / 8).clamp(1, BLOCK - held.len()));
            }
            held.insert(place, posting);
            block.reach = block.reach.with(&posting);
        } else if last {
            self.blocks.push(Block::new(vec![posting]));
        } else {
            let half = held.split_off(BLOCK / 2);
            block.reach = Reach::of(held);
            self.blocks.insert(at + 1, Block::new(half));
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
            let last = block.last();
            let inside = slots.partition_point(|slot| *slot <= last);
            if inside == 0 {
                return;
            }
            let (own, rest) = slots.split_at(inside);
            slots = rest;
            let held = &mut block.postings;
            let before = held.len();
            let start = held.partition_point(|posting| posting.slot < own[0]);
            let end = held.partition_point(|posting| posting.slot <= own[own.len() - 1]);
            let kept: Vec<Posting> = held[start..end]
                .iter()
                .filter(|own_posting| own.binary_search(&own_posting.slot).is_err())
                .copied()
                .collect();
            held.splice(start..end, kept);
            let gone = before - held.len();
            self.len -= gone;
            if held.is_empty() {
                self.blocks.remove(at);
            } else if gone > 0 {
                block.reach = Reach::of(held);
            }
        }
    }

    /// The block in which a slot stands or would stand: the first that does not end before it, or the last.
    fn block_of(&self, slot: u32) -> usize {
        let at = self.blocks.partition_point(|block| block.last() < slot);
        at.min(self.blocks.len().saturating_sub(1))
    }

    /// How many bytes its lists take.
    pub(super) fn bytes(&self) -> usize {
        const ALLOCATION: usize = 16;
        let lists =
            self.blocks.iter().map(|block| block.postings.capacity() * size_of::<Posting>() + ALLOCATION);
        lists.sum::<usize>() + self.blocks.capacity() * size_of::<Block>() + ALLOCATION
    }
}

/// A place in a term's postings.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    /// The block it is in and those behind it.
    blocks: &'a [Block],
    /// The next posting's place in its block.
    at: usize,
}

impl<'a> Cursor<'a> {
    /// The slot of the next posting.
    pub fn next_slot(&self) -> Option<u32> {
        self.blocks.first().and_then(|block| block.postings.get(self.at)).map(|posting| posting.slot)
    }

    /// Reads the postings of slots below `end`, a piece of them at a time; `None` when all of them were read.
    pub fn piece_below(&mut self, end: u32) -> Option<&'a [Posting]> {
        let (block, rest) = self.blocks.split_first()?;
        let left = &block.postings[self.at..];
        let inside =
            if block.last() < end { left.len() } else { left.partition_point(|posting| posting.slot < end) };
        if inside == left.len() {
            (self.blocks, self.at) = (rest, 0);
        } else {
            self.at += inside;
        }
        (inside > 0).then(|| &left[..inside])
    }

    /// Passes over the postings of slots below `slot`.
    pub fn pass(&mut self, slot: u32) {
        while let Some((block, rest)) = self.blocks.split_first() {
            if block.last() >= slot {
                self.at += block.postings[self.at..].partition_point(|posting| posting.slot < slot);
                return;
            }
            (self.blocks, self.at) = (rest, 0);
        }
    }

    /// Passes over the postings of slots below `slot`, and gives that of the slot itself, if there is one.
    pub fn find(&mut self, slot: u32) -> Option<&'a Posting> {
        self.pass(slot);
        let posting = self.blocks.first()?.postings.get(self.at)?;
        (posting.slot == slot).then_some(posting)
    }

    /// How far the postings reach that are not read yet: at least as far as those of slots below `end`. `None` when there
    /// is none below it.
    pub fn reach_below(&self, end: u32) -> Option<Reach> {
        self.next_slot().filter(|slot| *slot < end)?;
        let begun = |block: &&Block| block.postings.first().is_some_and(|first| first.slot < end);
        let (first, rest) = self.blocks.split_first()?;
        Some(rest.iter().take_while(begun).fold(first.reach, |reach, block| reach.and(&block.reach)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn is_an_ordered_map(steps in prop::collection::vec((any::<bool>(), 0u32..3000, 1u16..700), 0..12), windows in 1u32..900) {
            let (mut postings, mut map) = (Postings::default(), BTreeMap::new());
            for (add, from, count) in steps {
                let slots: Vec<u32> = (from..from + u32::from(count)).collect();
                let length = count % 7 * 9;
                if add {
                    for slot in slots.into_iter().step_by(2) {
                        if map.insert(slot, (count % 6 + 1, length)).is_none() {
                            postings.add(Posting { slot, count: count % 6 + 1, length });
                        } else {
                            postings.remove(&[slot]);
                            postings.add(Posting { slot, count: count % 6 + 1, length });
                        }
                    }
                } else {
                    let slots: Vec<u32> = slots.into_iter().step_by(3).collect();
                    map.retain(|slot, _| !slots.contains(slot));
                    postings.remove(&slots);
                }
            }
            let held = |own: &Posting| (own.slot, (own.count, own.length));
            let all: Vec<_> = postings.iter().map(held).collect();
            prop_assert_eq!(&all, &map.into_iter().collect::<Vec<_>>());
            prop_assert_eq!((postings.len(), postings.is_empty()), (all.len(), all.is_empty()));
            prop_assert!(postings.blocks.iter().all(|block| (1..=BLOCK).contains(&block.postings.len())));
            prop_assert!(postings.blocks.iter().all(|block| block.reach == Reach::of(&block.postings)));
            let (mut read, mut cursor, mut end) = (Vec::new(), postings.start(), 0);
            while cursor.next_slot().is_some() {
                end += windows;
                let reach = cursor.reach_below(end);
                prop_assert_eq!(reach.is_some(), cursor.next_slot().is_some_and(|slot| slot < end));
                let worth = |count: u16, length: u16| f64::from(count) / (f64::from(count) + f64::from(length));
                let best = reach.iter().flat_map(Reach::best).map(|(count, length)| worth(count, length));
                let best = best.fold(0.0, f64::max);
                while let Some(piece) = cursor.piece_below(end) {
                    prop_assert!(piece.iter().all(|own| own.slot < end && own.slot >= end - windows));
                    prop_assert!(piece.iter().all(|own| worth(own.count, own.length) <= best));
                    read.extend(piece.iter().map(held));
                }
            }
            prop_assert_eq!(&read, &all);
            let mut cursor = postings.start();
            for slot in (0..4000).step_by(windows as usize) {
                let found = cursor.find(slot).map(held);
                prop_assert_eq!(found, all.iter().find(|own| own.0 == slot).copied());
                prop_assert!(cursor.next_slot().is_none_or(|next| next >= slot));
            }
        }
    }
}
