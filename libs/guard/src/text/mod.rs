//! Text primitives: sentences, words, stems, stop words, syllables.
//!
//! Everything returns exact byte offsets into the input, because a citation is only worth something when the
//! reader can find it. Other crates rank, measure and write with these; none of them splits text on its own.

mod irregular;
mod memo;
mod plain;
mod sentence;
mod stop;
mod syllable;
mod word;

use std::borrow::Cow;
use std::sync::LazyLock;

use rust_stemmers::{Algorithm, Stemmer};

pub use sentence::{Sentence, sentences};
pub use stop::is_stop_word;
pub use syllable::syllables;
pub use word::{Word, words};

pub(crate) use memo::{with_stem, with_stem_key};
pub(crate) use sentence::is_line_break;
pub(crate) use word::{WordReader, Words, is_currency};

/// Longest word handed to the stemmer, in bytes; longer tokens are keys, hashes or noise.
const LONGEST_STEMMED: usize = 40;

static ENGLISH: LazyLock<Stemmer> = LazyLock::new(|| Stemmer::create(Algorithm::English));

/// The English stem of a lower-cased word; irregular verb forms have the stem of their base (`kept` as `keep`).
///
/// Words with digits, symbols or letters outside ASCII come back unchanged: they are names, numbers or another
/// language, and cutting them would make different things look alike.
pub fn stem(word_lower: &str) -> String {
    with_stem(word_lower, str::to_owned)
}

/// Whether the word can have another stem than itself.
fn is_stemmed(word_lower: &str) -> bool {
    word_lower.len() <= LONGEST_STEMMED && word_lower.bytes().all(|b| b.is_ascii_lowercase())
}

/// The stem of a word that [`is_stemmed`], worked out.
fn work_out(word_lower: &str) -> Cow<'_, str> {
    if let Some(single) = plural_acronym(word_lower) {
        return Cow::Borrowed(single);
    }
    ENGLISH.stem(irregular::base(word_lower).unwrap_or(word_lower))
}

/// `pdfs` is `pdf`: the stemmer leaves words without a vowel alone.
fn plural_acronym(word: &str) -> Option<&str> {
    let single = word.strip_suffix('s')?;
    (single.len() > 2 && !single.ends_with('s') && !single.contains(['a', 'e', 'i', 'o', 'u', 'y']))
        .then_some(single)
}

/// The stemmed content words of a text in reading order, repeats included: words without stop words.
pub fn terms(text: &str) -> Vec<String> {
    words(text).iter().filter(|word| !is_stop_word(&word.lower)).map(|word| stem(&word.lower)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_stemmed_content_words() {
        assert_eq!(terms("The builds were running 45 % faster."), ["build", "run", "45%", "faster"]);
        assert_eq!(terms("It is what it is."), Vec::<String>::new());
    }

    #[test]
    fn stem_leaves_names_and_foreign_words_alone() {
        for (word, expected) in [
            ("running", "run"),
            ("kept", "keep"),
            ("pdfs", "pdf"),
            ("css", "css"),
            ("v1.4.2", "v1.4.2"),
            ("straßen", "straßen"),
            ("", ""),
        ] {
            assert_eq!(stem(word), expected);
        }
        let long = "s".repeat(500);
        assert_eq!(stem(&long), long);
    }
}
