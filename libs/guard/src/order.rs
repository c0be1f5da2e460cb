//! What is kept in order to be found, each as one number: numbers are sorted in half the time of their parts.

/// The form that a passage begins with, the one behind it, and the passage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Opening(u128);

impl Opening {
    /// A passage with one word comes before those with more.
    pub(crate) fn new(first: u32, second: Option<u32>, passage: u32) -> Self {
        let second = second.map_or(0, |second| u128::from(second) + 1);
        Self(u128::from(first) << 80 | second << 32 | u128::from(passage))
    }

    pub(crate) fn passage(self) -> u32 {
        self.0 as u32
    }
}

/// A value and a passage that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Valued(u128);

impl Valued {
    /// In the order of [`f64::total_cmp`].
    pub(crate) fn new(value: f64, passage: u32) -> Self {
        let bits = value.to_bits();
        let rising = if bits & SIGN == 0 { bits | SIGN } else { !bits };
        Self(u128::from(rising) << 32 | u128::from(passage))
    }

    pub(crate) fn value(self) -> f64 {
        let rising = (self.0 >> 32) as u64;
        f64::from_bits(if rising & SIGN == 0 { !rising } else { rising & !SIGN })
    }

    pub(crate) fn passage(self) -> u32 {
        self.0 as u32
    }
}

const SIGN: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openings_are_in_the_order_of_their_parts() {
        let mut parts = Vec::new();
        for first in [0, 1, u32::MAX] {
            for second in [None, Some(0), Some(1), Some(u32::MAX)] {
                parts.extend([0, 1, u32::MAX].map(|passage| (first, second, passage)));
            }
        }
        let all: Vec<Opening> =
            parts.iter().map(|(first, second, passage)| Opening::new(*first, *second, *passage)).collect();
        assert!(all.is_sorted_by(|a, b| a < b));
        assert!(all.iter().zip(parts).all(|(opening, (_, _, passage))| opening.passage() == passage));
    }

    #[test]
    fn values_are_in_their_order_and_come_back() {
        let values = [f64::MIN, -2.5, -1e-300, -0.0, 0.0, 1e-300, 1.0, 40.0, 1e300];
        let all: Vec<Valued> =
            values.iter().flat_map(|value| [0, 7, u32::MAX].map(|id| Valued::new(*value, id))).collect();
        assert!(all.is_sorted_by(|a, b| a < b));
        for (valued, value) in all.iter().step_by(3).zip(values) {
            assert_eq!((valued.value().to_bits(), valued.passage()), (value.to_bits(), 0));
        }
    }
}
