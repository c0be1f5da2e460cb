//! What a model has learned that each token of a text counts: the lexical weights of BGE-M3 (J. Chen et al., 2024).
//!
//! Two texts are compared by the sum, over the tokens that both hold, of the products of their weights. A token that comes
//! several times counts by its highest weight; tokens that are no part of a text count nothing (FlagEmbedding,
//! `BGEM3FlagModel.encode`, `_process_token_weights` and `compute_lexical_matching_score`).
//!
//! Weights are kept as whole numbers of 2⁻¹³ in 16 bits: what rounding takes is below 0.0001, and products and sums of
//! whole numbers are exact in every order, so every index gives the same list.

/// How many units a weight of 1 has.
const ONE: f32 = 8192.0;
/// Bytes of a token and its weight.
const BYTES: usize = 6;

/// The tokens of a text that count, in order of id and each once, each with its weight in units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenWeights(Box<[(u32, u16)]>);

impl TokenWeights {
    /// From tokens with their weights: the highest of each token, rounded, below 8. What rounds to nothing, and what is no
    /// number, is left out.
    pub fn of(pairs: impl IntoIterator<Item = (u32, f32)>) -> Self {
        // A cast holds back what is too large, and makes 0 of what is below it or no number.
        let pairs = pairs.into_iter().map(|(token, weight)| (token, (weight * ONE).round() as u16));
        let mut pairs: Vec<(u32, u16)> = pairs.filter(|(_, units)| *units > 0).collect();
        pairs.sort_unstable_by_key(|(token, units)| (*token, std::cmp::Reverse(*units)));
        pairs.dedup_by_key(|(token, _)| *token);
        Self(pairs.into())
    }

    /// From different tokens with their units, in order of token; those of 0 are left out.
    pub fn of_units(pairs: impl IntoIterator<Item = (u32, u16)>) -> Self {
        Self(pairs.into_iter().filter(|(_, units)| *units > 0).collect())
    }

    /// The tokens with their units, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (u32, u16)> {
        self.0.iter().copied()
    }

    /// The tokens with their weights, in order.
    pub fn weights(&self) -> impl ExactSizeIterator<Item = (u32, f32)> {
        self.iter().map(|(token, units)| (token, f32::from(units) / ONE))
    }

    /// How many tokens count.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The units of a token; 0 for one that does not count.
    pub fn units(&self, token: u32) -> u16 {
        self.0.binary_search_by_key(&token, |(own, _)| *own).map_or(0, |at| self.0[at].1)
    }

    /// The sum of the products of the units that both have.
    pub fn product(&self, other: &Self) -> u64 {
        self.iter().map(|(token, units)| u64::from(units) * u64::from(other.units(token))).sum()
    }

    /// As bytes: each token's id in four, lowest first, and its units in two.
    pub fn to_bytes(&self) -> Vec<u8> {
        let each = |(token, units): (u32, u16)| {
            let ([a, b, c, d], [e, f]) = (token.to_le_bytes(), units.to_le_bytes());
            [a, b, c, d, e, f]
        };
        self.iter().flat_map(each).collect()
    }

    /// From such bytes; `None` when they are not.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (pairs, rest) = bytes.as_chunks::<BYTES>();
        let pair = |[a, b, c, d, e, f]: &[u8; BYTES]| {
            (u32::from_le_bytes([*a, *b, *c, *d]), u16::from_le_bytes([*e, *f]))
        };
        let pairs: Box<[(u32, u16)]> = pairs.iter().map(pair).collect();
        let sound = rest.is_empty()
            && pairs.iter().all(|(_, units)| *units > 0)
            && pairs.is_sorted_by(|left, right| left.0 < right.0);
        sound.then_some(Self(pairs))
    }
}

/// A product of units, or a sum of them, as the weights mean it. Exact below 2⁵³.
pub fn score(products: f64) -> f64 {
    products / (f64::from(ONE) * f64::from(ONE))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_highest_weight_of_a_token_counts() {
        let weights = TokenWeights::of([
            (7, 0.25),
            (3, 0.5),
            (7, 0.75),
            (7, 0.5),
            (9, 0.0),
            (10, -1.0),
            (11, f32::NAN),
            (12, 0.000_06),
            (13, 0.000_07),
            (14, 1e9),
        ]);
        assert_eq!(weights.iter().collect::<Vec<_>>(), [(3, 4096), (7, 6144), (13, 1), (14, u16::MAX)]);
        assert_eq!((weights.len(), weights.units(7), weights.units(8)), (4, 6144, 0));
        assert_eq!(weights.weights().nth(1), Some((7, 0.75)));
        let other = TokenWeights::of([(1, 1.0), (3, 0.5), (7, 2.0)]);
        assert_eq!(score(weights.product(&other) as f64), 0.25 + 1.5);
        assert_eq!(weights.product(&TokenWeights::default()), 0);
    }

    #[test]
    fn other_bytes_are_none() {
        let bytes = TokenWeights::of([(3, 0.5), (7, 0.75)]).to_bytes();
        assert_eq!(bytes, [3, 0, 0, 0, 0, 16, 7, 0, 0, 0, 0, 24]);
        let turned = [&bytes[6..], &bytes[..6]].concat();
        let twice = [&bytes[..6], &bytes[..6]].concat();
        for odd in [&bytes[..7], &[3, 0, 0, 0, 0, 0], &turned, &twice] {
            assert_eq!(TokenWeights::from_bytes(odd), None, "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn bytes_give_them_back(pairs in prop::collection::vec((any::<u32>(), 0.0f32..9.0), 0..40)) {
            let weights = TokenWeights::of(pairs);
            prop_assert_eq!(TokenWeights::from_bytes(&weights.to_bytes()), Some(weights.clone()));
            prop_assert_eq!(TokenWeights::of(weights.weights()), weights);
        }
    }
}
