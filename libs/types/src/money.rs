//! Money as whole nano-dollars (10⁻⁹ $): sums are exact, and nothing is ever a float.
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

/// An amount in nano-dollars. Additions saturate: no sum of costs can wrap around into a credit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoDollars(pub i64);

impl Add for NanoDollars {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for NanoDollars {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NanoDollars {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for NanoDollars {
    /// Dollars with six decimals, for example `$0.001743`; a smaller amount that is not zero shows as `<$0.000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, nanos) =
            if self.0 < 0 { ("-", self.0.unsigned_abs()) } else { ("", self.0.unsigned_abs()) };
        let micros = nanos / 1_000;
        if nanos > 0 && micros == 0 {
            return write!(f, "{sign}<$0.000001");
        }
        write!(f, "{sign}${}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

/// What a model charges, in nano-dollars per million tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// A million input tokens.
    pub input: i64,
    /// A million input tokens that the provider took from its cache.
    pub cached_input: i64,
    /// A million output tokens.
    pub output: i64,
}

impl Price {
    /// The cost of one call: each kind of token at its price, summed exactly, rounded up once to a whole nano-dollar.
    /// `cached` is the part of `input` that came from a cache.
    pub fn cost(&self, input: u64, cached: u64, output: u64) -> NanoDollars {
        let fresh = input.saturating_sub(cached);
        let part = |tokens: u64, price: i64| i128::from(tokens) * i128::from(price.max(0));
        let total =
            part(fresh, self.input) + part(cached.min(input), self.cached_input) + part(output, self.output);
        let rounded = (total + 999_999) / 1_000_000;
        NanoDollars(i64::try_from(rounded).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_once_per_call() {
        let price = Price { input: 150_000_000, cached_input: 75_000_000, output: 600_000_000 };
        assert_eq!(price.cost(1, 0, 0), NanoDollars(150));
        assert_eq!(price.cost(1, 1, 1), NanoDollars(675));
        let cheap = Price { input: 1, cached_input: 1, output: 1 };
        assert_eq!(cheap.cost(1, 0, 1), NanoDollars(1), "two millionths are rounded up once, not twice");
        assert_eq!(price.cost(u64::MAX, 0, u64::MAX), NanoDollars(i64::MAX));
    }

    #[test]
    fn shows_dollars() {
        assert_eq!(NanoDollars(1_743_000).to_string(), "$0.001743");
        assert_eq!(NanoDollars(12_000_000_000).to_string(), "$12.000000");
        assert_eq!(NanoDollars(5).to_string(), "<$0.000001");
        assert_eq!(NanoDollars(0).to_string(), "$0.000000");
        assert_eq!(NanoDollars(-1_000).to_string(), "-$0.000001");
    }
}
