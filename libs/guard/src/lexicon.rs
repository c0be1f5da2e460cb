//! Words as numbers, and which passages have them, each in a few stretches of memory rather than one a word.

use std::hash::BuildHasher;
use std::ops::Range;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

/// One for all lexicons, so that a word that is looked up in several is hashed once.
static HASHER: LazyLock<Hasher> = LazyLock::new(Hasher::default);

#[derive(Debug)]
struct Hasher {
    long: RandomState,
    /// Drawn at the start of the program.
    seeds: [u64; 2],
}

impl Default for Hasher {
    fn default() -> Self {
        let long = RandomState::default();
        Self { seeds: [long.hash_one(1), long.hash_one(2) | 1], long }
    }
}

impl Hasher {
    /// The halves of one product of the two halves, which makes all bits depend on all (Yi 2020, wyhash).
    #[inline]
    fn of_packed(&self, packed: u128) -> u64 {
        let [low, high] = halves(packed);
        let product = u128::from(low ^ self.seeds[0]) * u128::from(high ^ self.seeds[1]);
        let [low, high] = halves(product);
        low ^ high
    }
}

/// Bytes of a word that is compared as one number.
pub(crate) const SHORT: usize = 16;

/// A word as it is looked up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'w> {
    word: &'w str,
    /// See [`Self::packed`].
    packed: u128,
    hash: u64,
}

impl<'w> Key<'w> {
    pub(crate) fn of(word: &'w str) -> Self {
        Self::new(word, pack(word.as_bytes()))
    }

    /// [`Self::packed`] of the word at these bytes of a text, if sixteen bytes follow its start; otherwise 0.
    #[inline]
    pub(crate) fn packed_within(text: &[u8], place: Range<usize>) -> u128 {
        let length = place.end.wrapping_sub(place.start);
        let (Some(bytes), Some(mask)) =
            (text.get(place.start..).and_then(<[u8]>::first_chunk), MASKS.get(length))
        else {
            return 0;
        };
        let ends_in_zero = length.checked_sub(1).is_none_or(|last| bytes[last] == 0);
        if ends_in_zero { 0 } else { u128::from_le_bytes(*bytes) & mask }
    }

    #[inline]
    fn new(word: &'w str, packed: u128) -> Self {
        let hash = if packed != 0 { HASHER.of_packed(packed) } else { HASHER.long.hash_one(word) };
        Self { word, packed, hash }
    }

    pub(crate) fn word(self) -> &'w str {
        self.word
    }

    /// The bytes of a word that is short, the first one lowest; 0 for another, which is one that is long, empty or ends in
    /// U+0000. No two words have the same but for 0.
    pub(crate) fn packed(self) -> u128 {
        self.packed
    }

    /// The word with these [`Self::packed`] bytes when this one begins with it, as a word does with its stem; nothing for 0.
    pub(crate) fn beginning(self, packed: u128) -> Option<Self> {
        let length = length(packed);
        let begins = (1..=self.word.len()).contains(&length)
            && self.packed & (u128::MAX >> (8 * (SHORT - length))) == packed;
        let word = self.word.get(..length).filter(|_| begins)?;
        Some(Self::new(word, packed))
    }

    /// The word with these [`Self::packed`] bytes, which are written out for it; nothing for 0.
    pub(crate) fn unpack(packed: u128, bytes: &'w mut [u8; SHORT]) -> Option<Self> {
        *bytes = packed.to_le_bytes();
        let word = std::str::from_utf8(&bytes[..length(packed)]).ok().filter(|word| !word.is_empty())?;
        Some(Self::new(word, packed))
    }

    /// The high half of the hash.
    fn tag(self) -> u32 {
        (self.hash >> 32) as u32
    }
}

/// What so many bytes are kept with.
static MASKS: [u128; SHORT + 1] = {
    let mut masks = [0; SHORT + 1];
    let mut length = 1;
    while length <= SHORT {
        masks[length] = u128::MAX >> (8 * (SHORT - length));
        length += 1;
    }
    masks
};

/// How many bytes are [`Key::packed`].
fn length(packed: u128) -> usize {
    SHORT - packed.leading_zeros() as usize / 8
}

fn pack(word: &[u8]) -> u128 {
    if word.len() > SHORT || word.last() == Some(&0) {
        return 0;
    }
    if let (Some(first), Some(last)) = (word.first_chunk(), word.last_chunk()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        // Where both reach over the same bytes, these are the same.
        return u128::from(first) | u128::from(last) << (8 * (word.len() - 8));
    }
    u128::from(word.iter().rev().fold(0, |all: u64, byte| all << 8 | u64::from(*byte)))
}

/// Different words, numbered from 0 in the order in which they came.
///
/// A table of its own rather than a map: nearly all words are short, and one that is compared as a number where it is found
/// takes a fraction of the time of one that is compared by a call whose steps depend on its length.
#[derive(Debug, Default)]
pub(crate) struct Lexicon {
    /// All words, one after the other.
    text: String,
    /// Where each ends in `text`.
    ends: Vec<usize>,
    /// [`Key::packed`] of each, in two halves, which need no alignment of their own.
    packed: Vec<[u64; 2]>,
    /// A power of two, at most half of them taken; a word stands at the place of its hash or at the next free one.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// [`Key::tag`].
    tag: u32,
    /// The word's number and 1; 0 when the slot is free.
    next: u32,
}

/// Slots of the smallest lexicon with a word.
const FEWEST: usize = 64;

impl Lexicon {
    /// Has room for so many words at once.
    pub(crate) fn with_room(words: usize) -> Self {
        Self {
            text: String::with_capacity(words * 8),
            ends: Vec::with_capacity(words),
            packed: Vec::with_capacity(words),
            slots: vec![Slot::default(); (words * 2).next_power_of_two().max(FEWEST)],
        }
    }

    /// The number of a word, and whether it is new.
    #[inline]
    pub(crate) fn intern(&mut self, key: Key<'_>) -> (u32, bool) {
        match self.look(key) {
            Ok(number) => (number, false),
            Err(free) => (self.add(key, free), true),
        }
    }

    fn add(&mut self, key: Key<'_>, mut free: usize) -> u32 {
        if self.len() * 2 >= self.slots.len() {
            self.grow();
            free = self.look(key).err().unwrap_or_default();
        }
        let number = self.len() as u32;
        self.text.push_str(key.word);
        self.ends.push(self.text.len());
        self.packed.push(halves(key.packed));
        self.slots[free] = Slot { tag: key.tag(), next: number + 1 };
        number
    }

    /// Takes the next number for something that is no word.
    pub(crate) fn skip(&mut self) -> u32 {
        self.ends.push(self.text.len());
        self.packed.push([0; 2]);
        self.len() as u32 - 1
    }

    /// The number of a word that is there.
    pub(crate) fn find(&self, word: &str) -> Option<u32> {
        self.look(Key::of(word)).ok()
    }

    /// The number of a word with these [`Key::packed`] bytes, which are not 0.
    #[inline]
    pub(crate) fn find_packed(&self, packed: u128) -> Option<u32> {
        let hash = HASHER.of_packed(packed);
        let (tag, packed) = ((hash >> 32) as u32, halves(packed));
        let last = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & last;
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.next != 0) {
            if slot.tag == tag && self.packed[slot.next as usize - 1] == packed {
                return Some(slot.next - 1);
            }
            at = (at + 1) & last;
        }
        None
    }

    /// The number of a word, or the slot it would have.
    #[inline]
    fn look(&self, key: Key<'_>) -> Result<u32, usize> {
        let last = self.slots.len().wrapping_sub(1);
        let mut at = key.hash as usize & last;
        while let Some(slot) = self.slots.get(at).filter(|slot| slot.next != 0) {
            if slot.tag == key.tag() && self.is_word(slot.next - 1, key) {
                return Ok(slot.next - 1);
            }
            at = (at + 1) & last;
        }
        Err(at)
    }

    #[inline]
    fn is_word(&self, number: u32, key: Key<'_>) -> bool {
        self.packed[number as usize] == halves(key.packed)
            && (key.packed != 0 || self.word(number) == key.word)
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FEWEST);
        let taken = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        for slot in taken.into_iter().filter(|slot| slot.next != 0) {
            let mut at = Key::of(self.word(slot.next - 1)).hash as usize & (size - 1);
            while self.slots[at].next != 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// The word with this number.
    pub(crate) fn word(&self, number: u32) -> &str {
        let start = (number as usize).checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[number as usize]]
    }

    /// How many numbers are given.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }
}

fn halves(packed: u128) -> [u64; 2] {
    [packed as u64, (packed >> 64) as u64]
}

/// The passages of each stem.
#[derive(Debug, Default)]
pub(crate) struct Postings {
    /// Where those of each stem end in `passages`.
    ends: Vec<u32>,
    passages: Vec<u32>,
}

impl Postings {
    /// Sorts pairs of a stem, which is below `stems`, and a passage by stem; those of one stem keep their order.
    pub(crate) fn of(pairs: &[(u32, u32)], stems: usize) -> Self {
        let mut ends = vec![0_u32; stems];
        for (stem, _) in pairs {
            ends[*stem as usize] += 1;
        }
        let mut next = 0;
        for end in &mut ends {
            (*end, next) = (next, next + *end);
        }
        let mut passages = vec![0; pairs.len()];
        for (stem, passage) in pairs {
            let end = &mut ends[*stem as usize];
            passages[*end as usize] = *passage;
            *end += 1;
        }
        Self { ends, passages }
    }

    /// The passages of a stem.
    pub(crate) fn of_stem(&self, stem: u32) -> &[u32] {
        let end = |stem: u32| self.ends.get(stem as usize).map_or(0, |end| *end as usize);
        self.passages.get(stem.checked_sub(1).map_or(0, end)..end(stem)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_one_number_each() {
        let mut lexicon = Lexicon::default();
        let words: Vec<String> = (0..500).map(|at| format!("w{at}")).chain([String::new()]).collect();
        for (at, word) in (0..).zip(&words) {
            assert_eq!(lexicon.intern(Key::of(word)), (at, true));
        }
        for (at, word) in (0..).zip(&words) {
            assert_eq!((lexicon.intern(Key::of(word)), lexicon.word(at)), ((at, false), word.as_str()));
            assert_eq!(lexicon.find(word), Some(at));
        }
        assert_eq!((lexicon.find("x"), lexicon.len()), (None, 501));
        assert_eq!((lexicon.skip(), lexicon.word(501)), (501, ""));
        assert_eq!(lexicon.intern(Key::of("x")), (502, true));
        assert_eq!(Lexicon::default().find("x"), None);
    }

    #[test]
    fn words_of_every_length_are_told_apart_wherever_they_stand() {
        for length in 0..40 {
            let word = "a".repeat(length);
            let mut lexicon = Lexicon::default();
            assert_eq!(lexicon.intern(Key::of(&word)), (0, true));
            for behind in ["", "b", " and so on, and so on"] {
                let text = format!("- {word}{behind}");
                let packed = Key::packed_within(text.as_bytes(), 2..2 + length);
                let is_whole = (1..=SHORT).contains(&length) && text.len() >= 2 + SHORT;
                assert_eq!(packed, if is_whole { Key::of(&word).packed() } else { 0 }, "{text}");
                assert!(!is_whole || lexicon.find_packed(packed) == Some(0), "{text}");
            }
            for other in (0..length).map(|at| format!("{}b{}", &word[..at], &word[at + 1..])) {
                assert_eq!(lexicon.find(&other), None, "{other}");
            }
            assert_eq!(lexicon.find(&(word.clone() + "a")), None);
            assert_eq!(lexicon.find(&format!("{word}\0")), None);
            for shorter in (1..=length.min(SHORT)).filter(|_| length <= SHORT) {
                let (key, start) = (Key::of(&word), Key::of(&word[..shorter]));
                assert_eq!(key.beginning(start.packed()).map(Key::word), Some(&word[..shorter]));
                let other = Key::of(&"b".repeat(shorter)).packed();
                assert!(key.beginning(other).is_none() && start.beginning(other).is_none());
            }
            let mut bytes = [0; SHORT];
            let unpacked = Key::unpack(Key::of(&word).packed(), &mut bytes).map(|key| lexicon.intern(key));
            assert_eq!(unpacked, (1..=SHORT).contains(&length).then_some((0, false)));
        }
    }

    #[test]
    fn postings_are_kept_apart_and_in_order() {
        let postings = Postings::of(&[(2, 0), (0, 0), (2, 1), (3, 4), (0, 5)], 5);
        let all: Vec<&[u32]> = (0..6).map(|stem| postings.of_stem(stem)).collect();
        assert_eq!(all, [&[0, 5][..], &[], &[0, 1], &[4], &[], &[]]);
    }
}
