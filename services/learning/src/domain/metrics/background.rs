//! How often ordinary English uses a word, roughly: enough to tell a phrase of the house from a phrase of the language.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The words of the imagined background text.
pub(super) const SIZE: f64 = 1_000_000.0;

/// A word that no band lists occurs so often in a million.
const RARE: f64 = 20.0;

/// Bands of words with how often each occurs in a million, by rounded guess.
const BANDS: [(f64, &str); 5] = [
    (30_000.0, "the of and to a in is it that for"),
    (
        6_000.0,
        "you on with as are be this was have at by or from not we but they i an he she his her their our your all",
    ),
    (
        2_000.0,
        "can will more one has had were what when which who there if out up so about do how no my its than then them \
         these some would into other just like also only any new now time people get make",
    ),
    (
        700.0,
        "year years day days work way good first last use used need know see want take help find give keep made many much \
         most well back over after before because even still every never always very here where why through between own \
         each right long high small large great best better next world life company business customer customers team",
    ),
    (
        200.0,
        "week month today home number part place case thing things point problem service services product products \
         market money change experience start end open early late free full real sure easy simple hard fast power \
         water food school city country state government system program question story learn build built grow show \
         think look feel read write call come came goes going said says left set run running important different \
         support information data plan price cost results example order level group order area hours minutes",
    ),
];

static RATES: LazyLock<HashMap<&'static str, f64>> = LazyLock::new(|| {
    let pairs =
        BANDS.iter().flat_map(|(rate, words)| words.split_whitespace().map(move |word| (word, *rate)));
    pairs.collect()
});

/// How often the words would stand in this order in the background, if they came together by chance alone.
pub(super) fn expected(words: &[String]) -> f64 {
    let chance = |word: &String| RATES.get(word.as_str()).copied().unwrap_or(RARE) / SIZE;
    SIZE * words.iter().map(chance).product::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_words_are_expected_more_often() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(expected(&words("in the")) > expected(&words("new customer")));
        assert!(expected(&words("new customer")) > expected(&words("fridge compressor")));
        assert!((expected(&words("in the")) - 900.0).abs() < 1e-9, "a million times .03 times .03");
    }
}
