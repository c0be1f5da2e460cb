//! Sets and maps of ids: nobody outside chooses them, so a hash need not be hard to guess, only quick.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A set of ids.
pub type IdSet<T> = HashSet<T, BuildHasherDefault<Mixed>>;
/// A map from ids.
pub type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<Mixed>>;

/// Mixes by a multiplication, whose halves are folded together: every bit of the id has a say in every bit of the hash.
#[derive(Debug, Default, Clone, Copy)]
pub struct Mixed(u64);

/// 2⁶⁴ divided by the golden ratio: no bits of it repeat.
const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            self.write_u64(part.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number ^ ODD) * u128::from(ODD);
        self.0 = product as u64 ^ (product >> 64) as u64;
    }

    fn write_u128(&mut self, number: u128) {
        self.write_u64(number as u64);
        self.write_u64((number >> 64) as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use copydesk_types::PassageId;

    use super::*;

    #[test]
    fn neighbours_are_spread() {
        let hasher = BuildHasherDefault::<Mixed>::default();
        for shift in [0, 32, 64, 80, 116] {
            let hashes: Vec<u64> =
                (0..4096u128).map(|at| hasher.hash_one((PassageId::from_u128(at << shift), 3u32))).collect();
            // The lowest bits choose the bucket, the highest tell its entries apart.
            let low: HashSet<u64> = hashes.iter().map(|hash| hash % 4096).collect();
            let high: HashSet<u64> = hashes.iter().map(|hash| hash >> 57).collect();
            assert!(low.len() > 2000 && high.len() == 128, "{shift}: {} {}", low.len(), high.len());
        }
    }
}
