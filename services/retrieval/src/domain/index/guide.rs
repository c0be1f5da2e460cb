//! What a search is led by when there are too many vectors to look at each: a graph, and the slots that it does not lead
//! to, at which a search looks one by one. So a vector is found from the moment it is in, and one that went is not.
//!
//! A graph is made beside the index, by whoever asks for one with [`Guide::begin`], and takes its place in one moment;
//! what changed in between is known here and is apart from it.

use std::sync::Arc;

use super::bits::{Bits, ones};
use super::graph::Graph;
use super::matrix::{Matrix, Probe};

/// How a search by meaning looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Up to so many visible vectors each is compared.
    pub graph_above: usize,
    /// So many near ones a walk through the graph brings, at least.
    pub ef: usize,
}

impl Effort {
    /// Compares with each.
    pub const EXACT: Self = Self { graph_above: usize::MAX, ef: 0 };
}

/// What should be done about an index's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    Nothing,
    /// There are too few vectors for one: it only takes memory.
    Forget,
    /// The slots that are apart should be entered.
    Extend,
    /// One should be made from nothing.
    Make,
}

/// What a new graph is made from.
#[derive(Debug)]
pub struct Plan {
    /// The graph to go on from; absent: from nothing.
    pub from: Option<Arc<Graph>>,
    /// The slots to enter, in order.
    pub slots: Vec<u32>,
}

/// A graph, and what it does not know.
#[derive(Debug, Default)]
pub struct Guide {
    graph: Option<Arc<Graph>>,
    /// Slots with a vector that it does not lead to.
    apart: Bits,
    /// Its slots whose vector went.
    gone: usize,
    /// Slots whose vector came or went since a graph is being made; absent when none is.
    changed: Option<Bits>,
}

/// A graph is made anew when one in so many of its slots lost or changed its vector, and extended when so many are apart.
const WORN: usize = 5;
const APART: usize = 32;
/// Slots that a walk looks at for each that it brings, about, each in another place of the memory.
const LOOKS: usize = 64;

impl Guide {
    /// A slot got a vector; it had none.
    pub(super) fn came(&mut self, slot: u32) {
        self.apart.insert(slot);
        self.changed.iter_mut().for_each(|changed| changed.insert(slot));
    }

    /// A slot's vector goes.
    pub(super) fn went(&mut self, slot: u32) {
        if self.apart.contains(slot) {
            self.apart.remove(slot);
        } else {
            self.gone += usize::from(self.graph.is_some());
        }
        self.changed.iter_mut().for_each(|changed| changed.insert(slot));
    }

    /// What should be done with so many vectors, when a graph is wanted above a number of them.
    pub(super) fn wish(&self, rows: usize, graph_above: usize) -> Wish {
        let Some(graph) = &self.graph else {
            return if rows > graph_above { Wish::Make } else { Wish::Nothing };
        };
        let (nodes, again) = graph.size();
        if rows < graph_above / 2 {
            Wish::Forget
        } else if (self.gone + again) * WORN > nodes {
            Wish::Make
        } else if self.apart.len() * APART > nodes {
            Wish::Extend
        } else {
            Wish::Nothing
        }
    }

    /// Fulfils a wish, or says what it takes; then changes are noted until [`Guide::end`].
    pub(super) fn begin(&mut self, wish: Wish, matrix: &Matrix, slots: u32) -> Option<Plan> {
        let (from, slots) = match wish {
            Wish::Nothing => return None,
            Wish::Forget => {
                let apart = (0..slots).filter(|slot| matrix.has(*slot));
                *self = Self { apart: bits(apart), ..Self::default() };
                return None;
            }
            Wish::Extend => (self.graph.clone(), self.apart.iter().collect()),
            Wish::Make => (None, (0..slots).filter(|slot| matrix.has(*slot)).collect()),
        };
        self.changed = Some(Bits::default());
        Some(Plan { from, slots })
    }

    /// Takes a graph that was made, unless the vectors are others since.
    pub(super) fn end(&mut self, graph: Graph, matrix: &Matrix, slots: u32) {
        let Some(changed) = self.changed.take() else { return };
        let known = |slot: u32| graph.nodes().contains(slot) && !changed.contains(slot);
        self.apart = bits((0..slots).filter(|slot| matrix.has(*slot) && !known(*slot)));
        self.gone = graph.size().0 - (matrix.rows() - self.apart.len());
        self.graph = Some(Arc::new(graph));
    }

    /// The slots that a close look is worth, instead of all visible ones: the nearest that the graph leads to, `wanted`
    /// of them at least, and all that it does not lead to. `None` when each should be looked at.
    pub(super) fn lead(
        &self,
        matrix: &Matrix,
        probe: &Probe,
        visible: &Bits,
        wanted: usize,
        effort: Effort,
    ) -> Option<Bits> {
        let graph = self.graph.as_ref().filter(|_| visible.len() > effort.graph_above)?;
        let (ef, seen) = (wanted.max(effort.ef), visible.len());
        // What is not visible is walked through too.
        let walk = ef.saturating_mul(LOOKS).saturating_mul(graph.size().0) / seen.max(1);
        if probe.width() != matrix.width() || walk > seen || self.apart.len() * 4 > seen {
            return None;
        }
        let may = |slot: u32| visible.contains(slot) && !self.apart.contains(slot);
        let found = graph.nearest(matrix, probe.sight(), ef, seen / 2, may)?;
        if found.len() < wanted {
            return None;
        }
        let mut slots = bits(found.into_iter());
        for run in 0..self.apart.runs() {
            let apart = ones(self.apart.run(run) & visible.run(run));
            apart.for_each(|bit| slots.insert(run as u32 * 64 + bit));
        }
        Some(slots)
    }

    /// About how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let bits = self.apart.bytes() + self.changed.as_ref().map_or(0, Bits::bytes);
        bits + self.graph.as_ref().map_or(0, |graph| graph.bytes())
    }
}

fn bits(slots: impl Iterator<Item = u32>) -> Bits {
    let mut bits = Bits::default();
    slots.for_each(|slot| bits.insert(slot));
    bits
}

#[cfg(test)]
mod tests;
