//! What stands near what, in a few bits: for features that bear an error in a hundred.

/// A set that answers "is it there?" in a few nanoseconds and is wrong about one absent entry in a hundred: one bit an
/// entry, at its hash (Bloom 1970, with one hash).
#[derive(Debug)]
pub(crate) struct Sketch {
    bits: Vec<u64>,
}

impl Sketch {
    /// Has room for about so many entries.
    pub(crate) fn for_entries(entries: usize) -> Self {
        Self { bits: vec![0; entries.clamp(16, 1 << 20).next_power_of_two()] }
    }

    pub(crate) fn insert(&mut self, entry: u64) {
        let (word, bit) = self.place(entry);
        self.bits[word] |= bit;
    }

    /// Whether the entry is there, or seems to be.
    pub(crate) fn has(&self, entry: u64) -> bool {
        let (word, bit) = self.place(entry);
        self.bits[word] & bit != 0
    }

    /// Fibonacci hashing (Knuth): the high bits of the product are well mixed.
    fn place(&self, entry: u64) -> (usize, u64) {
        let hash = entry.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((hash >> 24) as usize & (self.bits.len() - 1), 1 << (hash >> 58))
    }
}

/// Two stems in a row as an entry.
pub(crate) fn pair(first: u32, second: u32) -> u64 {
    (u64::from(first) << 32) | u64::from(second)
}

/// Three stems in a row as an entry.
pub(crate) fn triple(first: u32, second: u32, third: u32) -> u64 {
    pair(first, second).wrapping_mul(0x0000_0100_0000_01b3) ^ (u64::from(third) + 1).rotate_left(17)
}

/// The first five letters of a stem that has as many, as an entry.
pub(crate) fn kin(stem: &str) -> Option<u64> {
    let letters = stem.as_bytes().get(..5)?;
    letters
        .iter()
        .all(u8::is_ascii_lowercase)
        .then(|| letters.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
}
