//! A graph over the vectors of a matrix, in which a search walks from near ones to nearer ones instead of looking at all:
//! a hierarchical navigable small world (Y. Malkov and D. Yashunin, 2016, arXiv:1603.09320; the numbers of algorithms
//! below are the paper's).
//!
//! It holds slots and no vectors: what is near is asked of the matrix, by its rounded vectors. A slot's highest layer
//! comes from its number, so the same vectors entered in the same order give the same graph.
//!
//! Nothing is taken out. A slot whose vector went stays as a place on the way; one that got another vector is entered
//! again. Who keeps the graph knows which slots may be answered, and builds a new one when too many are worn.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::super::quick::IdMap;
use super::bits::Bits;
use super::matrix::{Matrix, Sight};

/// How a graph is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Links that a slot makes when it is entered, in each layer; it has as many at most in the layers above the ground,
    /// and twice as many on the ground.
    pub m: usize,
    /// Near slots among which they are chosen.
    pub ef_construct: usize,
}

/// The graph.
#[derive(Debug, Clone)]
pub struct Graph {
    shape: Shape,
    /// For each slot `2 m` links, the free ones at the end.
    ground: Vec<u32>,
    /// The layers above, the lowest first.
    upper: Vec<IdMap<u32, Vec<u32>>>,
    /// Where walks begin.
    entry: Option<u32>,
    nodes: Bits,
    again: usize,
}

/// A link that is not there.
const NONE: u32 = u32::MAX;
/// Slots for which room is made at once.
const ROOM: usize = 1024;
/// Near slots that are followed in the layers above. The paper follows one, and then ends up in the wrong one of many
/// clusters too often.
const ABOVE: usize = 16;
/// So many layers have never been needed.
const LAYERS: usize = 24;

/// A slot and how near it is: its cosine, about. Greater is nearer, and of equals the lower slot.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Near {
    cosine: f32,
    slot: u32,
}

impl Eq for Near {}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cosine.total_cmp(&other.cosine).then(other.slot.cmp(&self.slot))
    }
}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What a walk notes on its way; used again, because it is as large as the graph.
#[derive(Debug, Default)]
pub struct Notes {
    seen: Vec<u64>,
    dirty: Vec<usize>,
    met: Vec<u32>,
    cosines: Vec<f32>,
    steps: usize,
}

impl Notes {
    fn clear(&mut self, slots: usize) {
        self.dirty.drain(..).for_each(|word| self.seen[word] = 0);
        self.seen.resize(self.seen.len().max(slots.div_ceil(64)), 0);
        self.steps = 0;
    }

    /// Whether a slot is met for the first time.
    fn first(&mut self, slot: u32) -> bool {
        let (word, bit) = (slot as usize / 64, 1u64 << (slot % 64));
        let Some(seen) = self.seen.get_mut(word) else { return false };
        if *seen == 0 {
            self.dirty.push(word);
        }
        let first = *seen & bit == 0;
        *seen |= bit;
        first
    }
}

impl Graph {
    /// A graph of nothing.
    pub fn new(shape: Shape) -> Self {
        let Shape { m, ef_construct } = shape;
        let shape = Shape { m: m.max(2), ef_construct: ef_construct.max(m) };
        Self { shape, ground: Vec::new(), upper: Vec::new(), entry: None, nodes: Bits::default(), again: 0 }
    }

    /// How many slots were entered, and how often one was entered again.
    pub fn size(&self) -> (usize, usize) {
        (self.nodes.len(), self.again)
    }

    /// The slots that were entered.
    pub fn nodes(&self) -> &Bits {
        &self.nodes
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        const NODE: usize = 48;
        let above: usize = self.upper.iter().map(IdMap::len).sum();
        self.ground.capacity() * 4 + above * (NODE + 4 * self.shape.m) + self.nodes.bytes()
    }

    /// Enters a slot that has a vector (algorithm 1).
    pub fn enter(&mut self, matrix: &Matrix, slot: u32, notes: &mut Notes) {
        let Some(sight) = matrix.sight(slot) else { return };
        let top = self.upper.len();
        let layer = self.layer_of(slot);
        self.make_room(slot);
        self.again += usize::from(self.nodes.contains(slot));
        let Some(entry) = self.entry else {
            self.nodes.insert(slot);
            self.raise(slot, layer);
            return;
        };
        let mut from = vec![near(matrix, &sight, entry)];
        for layer in (layer + 1..=top).rev() {
            from = self.walk(matrix, &sight, from, ABOVE, layer, notes, |_| true);
        }
        for layer in (0..=layer.min(top)).rev() {
            from = self.walk(matrix, &sight, from, self.shape.ef_construct, layer, notes, |_| true);
            let others = from.iter().filter(|other| other.slot != slot).copied();
            let chosen = choose(matrix, others, self.shape.m);
            self.link(layer, slot, &chosen);
            for other in &chosen {
                self.link_back(matrix, layer, *other, slot);
            }
        }
        self.nodes.insert(slot);
        if layer > top {
            self.raise(slot, layer);
        }
    }

    /// The nearest slots that may be answered, at least `ef` of them where there are so many, in no order (algorithm 5).
    /// The others are walked through. `None` when more than `most` slots would have to be looked at.
    pub fn nearest(
        &self,
        matrix: &Matrix,
        sight: &Sight,
        ef: usize,
        most: usize,
        may: impl Fn(u32) -> bool,
    ) -> Option<Vec<u32>> {
        let Some(entry) = self.entry else { return Some(Vec::new()) };
        let mut notes = Notes::default();
        let mut from = vec![near(matrix, sight, entry)];
        for layer in (1..=self.upper.len()).rev() {
            from = self.walk(matrix, sight, from, ABOVE, layer, &mut notes, |_| true);
        }
        let found = self.walk_at_most(matrix, sight, from, (ef, most), 0, &mut notes, may)?;
        Some(found.into_iter().map(|one| one.slot).collect())
    }

    /// The highest layer of a slot: each has one in `m` of the slots of the one below.
    fn layer_of(&self, slot: u32) -> usize {
        // A number from 0 to 1 out of the slot's (SplitMix64).
        let mut mixed = u64::from(slot).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let unit = ((mixed >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        ((-unit.ln() / (self.shape.m as f64).ln()) as usize).min(LAYERS)
    }

    fn make_room(&mut self, slot: u32) {
        let wanted = (slot as usize + 1) * 2 * self.shape.m;
        if wanted > self.ground.len() {
            let wanted = (slot as usize + 1).next_multiple_of(ROOM) * 2 * self.shape.m;
            self.ground.reserve_exact(wanted - self.ground.len());
            self.ground.resize(wanted, NONE);
        }
    }

    /// Makes a slot the one where walks begin.
    fn raise(&mut self, slot: u32, layer: usize) {
        while self.upper.len() < layer {
            self.upper.push(IdMap::default());
        }
        for layer in &mut self.upper {
            layer.entry(slot).or_default();
        }
        self.entry = Some(slot);
    }

    fn links(&self, layer: usize, slot: u32) -> &[u32] {
        if let Some(above) = layer.checked_sub(1) {
            return self.upper.get(above).and_then(|layer| layer.get(&slot)).map_or(&[], Vec::as_slice);
        }
        let (at, room) = (slot as usize * 2 * self.shape.m, 2 * self.shape.m);
        let own = self.ground.get(at..at + room).unwrap_or_default();
        own.split(|link| *link == NONE).next().unwrap_or_default()
    }

    fn link(&mut self, layer: usize, slot: u32, to: &[u32]) {
        if let Some(above) = layer.checked_sub(1) {
            self.upper[above].insert(slot, to.to_vec());
            return;
        }
        let (at, room) = (slot as usize * 2 * self.shape.m, 2 * self.shape.m);
        let own = &mut self.ground[at..at + room];
        own.fill(NONE);
        own[..to.len()].copy_from_slice(to);
    }

    /// Links a slot to one that was entered; when it has too many links, the best mix of them stays.
    fn link_back(&mut self, matrix: &Matrix, layer: usize, slot: u32, to: u32) {
        let mut links = self.links(layer, slot).to_vec();
        if links.contains(&to) {
            return;
        }
        links.push(to);
        let most = if layer == 0 { 2 * self.shape.m } else { self.shape.m };
        if links.len() > most
            && let Some(sight) = matrix.sight(slot)
        {
            let mut cosines = Vec::new();
            matrix.near(&sight, &links, &mut cosines);
            let mut others: Vec<Near> =
                links.iter().zip(cosines).map(|(slot, cosine)| Near { cosine, slot: *slot }).collect();
            others.sort_unstable_by(|left, right| right.cmp(left));
            links = choose(matrix, others.into_iter(), most);
        }
        links.truncate(most);
        self.link(layer, slot, &links);
    }

    #[allow(clippy::too_many_arguments, reason = "the paper's five, the matrix and the notes")]
    fn walk(
        &self,
        matrix: &Matrix,
        sight: &Sight,
        from: Vec<Near>,
        ef: usize,
        layer: usize,
        notes: &mut Notes,
        may: impl Fn(u32) -> bool,
    ) -> Vec<Near> {
        self.walk_at_most(matrix, sight, from, (ef, usize::MAX), layer, notes, may).unwrap_or_default()
    }

    /// The `ef` nearest slots of a layer that a walk meets (algorithm 2), nearest first.
    #[allow(clippy::too_many_arguments, reason = "the paper's five, the matrix and the notes")]
    fn walk_at_most(
        &self,
        matrix: &Matrix,
        sight: &Sight,
        from: Vec<Near>,
        (ef, most): (usize, usize),
        layer: usize,
        notes: &mut Notes,
        may: impl Fn(u32) -> bool,
    ) -> Option<Vec<Near>> {
        notes.clear(self.ground.len() / (2 * self.shape.m));
        from.iter().for_each(|one| _ = notes.first(one.slot));
        let mut found: BinaryHeap<Reverse<Near>> =
            from.iter().filter(|one| may(one.slot)).map(|one| Reverse(*one)).collect();
        let mut ahead = BinaryHeap::from(from);
        while let Some(here) = ahead.pop() {
            let full = found.len() >= ef;
            if full && found.peek().is_some_and(|farthest| here < farthest.0) {
                break;
            }
            let mut met = std::mem::take(&mut notes.met);
            met.clear();
            met.extend(self.links(layer, here.slot).iter().filter(|slot| notes.first(**slot)));
            notes.steps += met.len();
            if notes.steps > most {
                return None;
            }
            matrix.near(sight, &met, &mut notes.cosines);
            for (slot, cosine) in met.iter().zip(&notes.cosines) {
                let one = Near { slot: *slot, cosine: *cosine };
                let full = found.len() >= ef;
                if full && found.peek().is_some_and(|farthest| one < farthest.0) {
                    continue;
                }
                ahead.push(one);
                if may(*slot) {
                    found.push(Reverse(one));
                    if full {
                        found.pop();
                    }
                }
            }
            notes.met = met;
        }
        Some(found.into_sorted_vec().into_iter().map(|one| one.0).collect())
    }
}

fn near(matrix: &Matrix, sight: &Sight, slot: u32) -> Near {
    let mut cosines = Vec::with_capacity(1);
    matrix.near(sight, &[slot], &mut cosines);
    Near { slot, cosine: cosines.first().copied().unwrap_or(-1.0) }
}

/// Of these, nearest first, those that lead to different sides: none that is nearer to one chosen before than to what
/// all are near to; then the nearest others, up to so many (algorithm 4).
fn choose(matrix: &Matrix, others: impl Iterator<Item = Near>, most: usize) -> Vec<u32> {
    let (mut chosen, mut passed): (Vec<u32>, Vec<u32>) = (Vec::with_capacity(most + 1), Vec::new());
    for other in others {
        if chosen.len() == most {
            break;
        }
        if matrix.any_nearer(other.slot, &chosen, other.cosine) {
            passed.push(other.slot);
        } else {
            chosen.push(other.slot);
        }
    }
    let room = most - chosen.len();
    chosen.extend(passed.into_iter().take(room));
    chosen
}

#[cfg(test)]
mod tests;
