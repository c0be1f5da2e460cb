//! Lexical diversity that does not fall with length: MTLD (McCarthy and Jarvis 2010).

use std::collections::HashSet;

/// Below this share of different words a stretch is used up.
const THRESHOLD: f64 = 0.72;

/// Mean length of the stretches over which the share of different words stays at the threshold, read forwards and
/// backwards. Words that never repeat give their number.
pub(super) fn mtld(words: &[&str]) -> f64 {
    (one_way(words.iter().copied()) + one_way(words.iter().rev().copied())) / 2.0
}

fn one_way<'a>(words: impl Iterator<Item = &'a str>) -> f64 {
    let mut seen = HashSet::new();
    let (mut total, mut length, mut factors) = (0usize, 0usize, 0.0);
    let mut share = 1.0;
    for word in words {
        total += 1;
        length += 1;
        seen.insert(word);
        share = seen.len() as f64 / length as f64;
        if share < THRESHOLD {
            factors += 1.0;
            seen.clear();
            (length, share) = (0, 1.0);
        }
    }
    // The stretch that was not used up counts by how far it got.
    factors += (1.0 - share) / (1.0 - THRESHOLD);
    if factors > 0.0 { total as f64 / factors } else { total as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // a b a: shares 1, 1, 2/3 < .72, one factor of 3 words; twice makes 6 / 2, the same backwards.
        assert_eq!(mtld(&["a", "b", "a", "a", "b", "a"]), 3.0);
        // Forwards 1, .5: a factor of 2, then `b` without a loss: 3 / 1. Backwards b a 1, a 2/3: 3 / 1.
        assert_eq!(mtld(&["a", "a", "b"]), 3.0);
        // a b c a: .75 is not below .72. Rest (1 - .75) / .28 = .892857, 4 / .892857 = 4.48, both ways.
        assert!((mtld(&["a", "b", "c", "a"]) - 4.48).abs() < 1e-9);
        assert_eq!(mtld(&["a", "b", "c"]), 3.0);
        assert_eq!(mtld(&[]), 0.0);
    }
}
