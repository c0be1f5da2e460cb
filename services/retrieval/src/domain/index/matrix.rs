//! The vectors: in full, and rounded to a byte a value for a first look.
//!
//! The first look is no guess. With each rounded vector stands how far it is from the full one, so its cosine with a
//! query is known to lie in a small interval, and only vectors whose interval reaches the best are compared in full. The
//! answer is that of a full comparison with every vector, for a quarter of the memory traffic.

use std::ops::Range;

use super::bits::{Bits, ones};
use super::products::{Level, Products, dispatch, of_floats};

/// Rows of a block: large enough to be scanned at full speed, small enough that the last one wastes little.
pub const BLOCK: usize = 1024;

/// Unit vectors, one for each slot that has one.
#[derive(Debug, Default)]
pub struct Matrix {
    width: usize,
    blocks: Vec<Block>,
    rows: usize,
}

/// Up to [`BLOCK`] rows. A row that never was has the scale 0; that of one that was taken out is negative, and its
/// rounded values stay for who passes by.
#[derive(Debug, Default)]
struct Block {
    full: Vec<f32>,
    rounded: Vec<i8>,
    scales: Vec<f32>,
    errors: Vec<f32>,
}

/// A query's vector as the matrix compares it.
#[derive(Debug)]
pub struct Probe {
    full: Vec<f32>,
    norm: f64,
    sight: Sight,
    error: f32,
}

/// A rounded vector that rows are compared with.
#[derive(Debug)]
pub struct Sight {
    rounded: Vec<i16>,
    scale: f32,
}

/// What floats may lose on the way, several times over.
const SLACK: f32 = 2e-5;

impl Probe {
    /// A vector as a probe; `None` for one without a direction.
    pub fn new(vector: Vec<f32>) -> Option<Self> {
        let norm = norm(&vector)?;
        let unit: Vec<f64> = vector.iter().map(|value| f64::from(*value) / norm).collect();
        let largest = unit.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        // So fine that the sum of all products still fits 32 bits.
        let levels = (f64::from(i32::MAX) / (128.0 * vector.len() as f64)).min(32_000.0).floor();
        let scale = largest / levels;
        let rounded: Vec<i16> = unit.iter().map(|value| (value / scale).round() as i16).collect();
        let off = unit.iter().zip(&rounded).map(|(value, near)| (value - f64::from(*near) * scale).powi(2));
        let error = off.sum::<f64>().sqrt() as f32;
        Some(Self { full: vector, norm, sight: Sight { rounded, scale: scale as f32 }, error })
    }

    /// It, rounded.
    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// How many values it has.
    pub fn width(&self) -> usize {
        self.full.len()
    }

    /// Its direction, as another index takes it.
    pub fn direction(&self) -> Vec<f32> {
        self.full.iter().map(|value| (f64::from(*value) / self.norm) as f32).collect()
    }

    /// The cosine with a unit vector of the same width; the same number as [`Matrix::cosine`] gives for it.
    pub fn cosine(&self, unit: &[f32]) -> f64 {
        let dot = dispatch!(Level::of_processor(), products => dot_as(products, &self.full, unit));
        (dot / self.norm).clamp(-1.0, 1.0)
    }
}

/// A vector as the matrix holds it; `None` for one without a direction.
pub fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let norm = norm(vector)?;
    Some(vector.iter().map(|value| (f64::from(*value) / norm) as f32).collect())
}

/// The length of a vector that has a direction.
fn norm(vector: &[f32]) -> Option<f64> {
    let norm = vector.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    (norm.is_finite() && norm != 0.0).then_some(norm)
}

impl Matrix {
    /// How many values each vector has; 0 before the first one came.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Sets a slot's vector; one without a direction is left out, and with it the chunk from the dense leg. A vector of
    /// another width is of another embedder: the knowledge base was reembedded, and the vectors that are here are those
    /// of documents whose new ones come next.
    pub fn set(&mut self, slot: u32, vector: &[f32]) {
        let Some(norm) = norm(vector) else { return };
        if vector.len() != self.width {
            *self = Self { width: vector.len(), ..Self::default() };
        }
        let (block, row) = place(slot);
        while self.blocks.len() <= block {
            self.blocks.push(Block::default());
        }
        self.rows += usize::from(!self.blocks[block].has(row));
        self.blocks[block].set(row, vector, norm);
    }

    /// Takes a slot's vector out.
    pub fn clear(&mut self, slot: u32) {
        let (block, row) = place(slot);
        if let Some(block) = self.blocks.get_mut(block).filter(|block| block.has(row)) {
            block.scales[row] *= -1.0;
            self.rows -= 1;
        }
    }

    /// How many vectors there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether a slot has a vector.
    pub fn has(&self, slot: u32) -> bool {
        let (block, row) = place(slot);
        self.blocks.get(block).is_some_and(|block| block.has(row))
    }

    /// A slot's unit vector.
    pub fn row(&self, slot: u32) -> Option<&[f32]> {
        let (block, row) = place(slot);
        let block = self.blocks.get(block)?;
        block.has(row).then(|| &block.full[row * self.width..(row + 1) * self.width])
    }

    /// A slot's vector as others are compared with it; also one that was taken out and not replaced.
    pub fn sight(&self, slot: u32) -> Option<Sight> {
        let (rounded, scale) = self.rounded(slot)?;
        Some(Sight { rounded: rounded.iter().map(|value| i16::from(*value)).collect(), scale })
    }

    /// The cosines with the vectors of these slots, about; also of those that were taken out and not replaced.
    pub fn near(&self, sight: &Sight, slots: &[u32], cosines: &mut Vec<f32>) {
        cosines.clear();
        cosines.resize(slots.len(), -1.0);
        dispatch!(Level::of_processor(), products => self.near_as(products, sight, slots, cosines));
    }

    /// Plain loops, because iterators' closures are not built for the processor's level.
    #[inline(always)]
    fn near_as<P: Products>(&self, products: P, sight: &Sight, slots: &[u32], cosines: &mut [f32]) {
        products.vectorize(
            #[inline(always)]
            || {
                for (cosine, slot) in cosines.iter_mut().zip(slots) {
                    if let Some((rounded, scale)) = self.rounded(*slot) {
                        *cosine = products.of_words(&sight.rounded, rounded) as f32 * (sight.scale * scale);
                    }
                }
            },
        );
    }

    /// Whether a slot's vector is nearer to one of these than a cosine, about.
    pub fn any_nearer(&self, slot: u32, others: &[u32], than: f32) -> bool {
        dispatch!(Level::of_processor(), products => self.any_nearer_as(products, slot, others, than))
    }

    #[inline(always)]
    fn any_nearer_as<P: Products>(&self, products: P, slot: u32, others: &[u32], than: f32) -> bool {
        let Some((own, scale)) = self.rounded(slot) else { return false };
        products.vectorize(
            #[inline(always)]
            || {
                for other in others {
                    if let Some((rounded, other)) = self.rounded(*other)
                        && products.of_bytes(own, rounded) as f32 * (scale * other) > than
                    {
                        return true;
                    }
                }
                false
            },
        )
    }

    /// A slot's rounded vector and its scale.
    #[inline(always)]
    fn rounded(&self, slot: u32) -> Option<(&[i8], f32)> {
        let (block, row) = place(slot);
        let block = self.blocks.get(block)?;
        Some((block.rounded.get(row * self.width..(row + 1) * self.width)?, block.scales.get(row)?.abs()))
    }

    /// The cosine of a slot's vector with a probe of the same width.
    pub fn cosine(&self, slot: u32, probe: &Probe) -> Option<f64> {
        Some(probe.cosine(self.row(slot)?))
    }

    /// Brings slots' vectors near the processor, all at once: one after the other, each would be waited for.
    pub fn fetch(&self, slots: impl Iterator<Item = u32>) {
        /// Values of a line of the processor's cache.
        const LINE: usize = 16;
        let lines = slots.filter_map(|slot| self.row(slot)).flat_map(|row| row.iter().step_by(LINE));
        std::hint::black_box(lines.fold(0, |seen, value| seen ^ value.to_bits()));
    }

    /// Looks at the vectors of these slots, a block at a time: `seen` is told the slot and the interval in which the
    /// cosine lies, for each whose upper end is not below the floor that the last call of `seen` gave.
    pub fn look(&self, probe: &Probe, slots: &Bits, mut seen: impl FnMut(u32, f32, f32) -> f32) {
        if probe.width() != self.width {
            return;
        }
        let mut floor = f32::NEG_INFINITY;
        let mut near = [0.0; BLOCK];
        for (at, block) in self.blocks.iter().enumerate() {
            let runs = at * (BLOCK / 64)..(at + 1) * (BLOCK / 64);
            if !slots.any_in(runs.clone()) {
                continue;
            }
            dispatch!(Level::of_processor(), products => block.look_as(products, probe, slots, runs.clone(), &mut near));
            for (run, base) in runs.zip((0..BLOCK).step_by(64)) {
                for bit in ones(slots.run(run)) {
                    let row = base + bit as usize;
                    let (Some(scale), Some(error)) = (block.scales.get(row), block.errors.get(row)) else {
                        break;
                    };
                    let off = error + probe.error * (1.0 + error) + SLACK;
                    if *scale > 0.0 && near[row] + off >= floor {
                        floor = seen((at * BLOCK + row) as u32, near[row] - off, near[row] + off);
                    }
                }
            }
        }
    }

    /// How many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().map(Block::bytes).sum()
    }
}

fn place(slot: u32) -> (usize, usize) {
    (slot as usize / BLOCK, slot as usize % BLOCK)
}

impl Block {
    fn has(&self, row: usize) -> bool {
        self.scales.get(row).is_some_and(|scale| *scale > 0.0)
    }

    fn set(&mut self, row: usize, vector: &[f32], norm: f64) {
        let (width, rows) = (vector.len(), self.scales.len());
        if row >= rows {
            // Doubled up to the size of a block, so that small knowledge bases stay small.
            if row >= self.scales.capacity() {
                let room = (row + 1).next_power_of_two().clamp(8, BLOCK) - rows;
                self.full.reserve_exact(room * width);
                self.rounded.reserve_exact(room * width);
                self.scales.reserve_exact(room);
                self.errors.reserve_exact(room);
            }
            self.full.resize((row + 1) * width, 0.0);
            self.rounded.resize((row + 1) * width, 0);
            self.scales.resize(row + 1, 0.0);
            self.errors.resize(row + 1, 0.0);
        }
        let span = row * width..(row + 1) * width;
        let (full, rounded) = (&mut self.full[span.clone()], &mut self.rounded[span]);
        (self.scales[row], self.errors[row]) =
            dispatch!(Level::of_processor(), products => round_as(products, vector, norm, full, rounded));
    }

    /// The rounded cosines of the rows that are wanted.
    #[inline(always)]
    fn look_as<P: Products>(
        &self,
        products: P,
        probe: &Probe,
        slots: &Bits,
        runs: Range<usize>,
        near: &mut [f32; BLOCK],
    ) {
        let width = probe.width();
        products.vectorize(
            #[inline(always)]
            || {
                for (run, base) in runs.zip((0..BLOCK).step_by(64)) {
                    let mut word = slots.run(run);
                    while word != 0 {
                        let row = base + word.trailing_zeros() as usize;
                        word &= word - 1;
                        let Some(rounded) = self.rounded.get(row * width..(row + 1) * width) else { break };
                        near[row] = products.of_words(&probe.sight.rounded, rounded) as f32
                            * (probe.sight.scale * self.scales[row]);
                    }
                }
            },
        );
    }

    fn bytes(&self) -> usize {
        self.rounded.capacity() + 4 * (self.full.capacity() + self.scales.capacity() + self.errors.capacity())
    }
}

/// Writes a vector as a unit vector, in full and rounded. Gives the scale of the rounded one and how far off it is.
#[inline(always)]
fn round_as<P: Products>(
    products: P,
    vector: &[f32],
    norm: f64,
    full: &mut [f32],
    rounded: &mut [i8],
) -> (f32, f32) {
    products.vectorize(
        #[inline(always)]
        || {
            let mut largest = 0.0f32;
            for (full, value) in full.iter_mut().zip(vector) {
                *full = (f64::from(*value) / norm) as f32;
                largest = largest.max(full.abs());
            }
            let scale = largest / 127.0;
            let mut off = [0.0f32; 8];
            for (at, (rounded, full)) in rounded.iter_mut().zip(full).enumerate() {
                let near = (*full / scale).round_ties_even();
                *rounded = near as i8;
                off[at % 8] += (*full - near * scale).powi(2);
            }
            (scale, off.iter().sum::<f32>().sqrt())
        },
    )
}

#[inline(always)]
fn dot_as<P: Products>(products: P, left: &[f32], right: &[f32]) -> f64 {
    products.vectorize(
        #[inline(always)]
        || of_floats(left, right),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vectors(width: usize, count: usize) -> impl Strategy<Value = Vec<Vec<f32>>> {
        prop::collection::vec(prop::collection::vec(-1.0f32..1.0, width), count)
    }

    proptest! {
        #[test]
        fn the_cosine_lies_where_the_first_look_says(rows in vectors(37, 20), query in vectors(37, 1)) {
            let mut matrix = Matrix::default();
            let mut all = Bits::default();
            for (slot, row) in rows.iter().enumerate() {
                matrix.set(slot as u32 * 67, row);
                all.insert(slot as u32 * 67);
            }
            let Some(probe) = Probe::new(query[0].clone()) else { return Ok(()) };
            let mut count = 0;
            matrix.look(&probe, &all, |slot, low, high| {
                let cosine = matrix.cosine(slot, &probe).unwrap_or(9.0) as f32;
                assert!(low <= cosine && cosine <= high, "{low} {cosine} {high}");
                assert!(high - low < 0.05, "an interval of {}", high - low);
                count += 1;
                f32::NEG_INFINITY
            });
            prop_assert_eq!(count, rows.len());
        }
    }

    #[test]
    fn the_widest_vectors_do_not_overflow() {
        let probe = Probe::new(vec![1.0; 4096]).unwrap();
        let mut matrix = Matrix::default();
        matrix.set(0, &vec![1.0; 4096]);
        let mut slots = Bits::default();
        slots.insert(0);
        let mut seen = 0.0;
        matrix.look(&probe, &slots, |_, low, high| {
            seen = (low + high) / 2.0;
            0.0
        });
        assert!((seen - 1.0).abs() < 0.01, "{seen}");
    }
}
