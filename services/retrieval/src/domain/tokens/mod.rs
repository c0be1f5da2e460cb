//! Token counts and places to cut a text, by the o200k_base vocabulary.
//!
//! A text is split into words, and every word becomes tokens by itself. So where a cut is made between two words the
//! tokens on both sides are known, whatever is cut away: nothing has to be counted again but a word at the edge that
//! loses white space. Long words (a sentence without spaces, a key, a drawing) can be cut between their tokens too.
//! Every place to cut is a character boundary of the text, although tokens may end inside a character.

mod vocabulary;
mod words;

use std::ops::Range;

use vocabulary::{Scratch, Vocabulary};
use words::Words;

/// Words of more tokens can be cut inside.
const WHOLE: usize = 4;
/// Words of more bytes are made into tokens in pieces of so many: merging takes more memory than text.
const PIECE: usize = 4096;

/// The vocabulary cannot be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("tokenizer: {0}")]
pub struct TokenError(String);

/// A text made of pieces: words, or parts of long words.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    text: &'a str,
    coder: Coder,
    /// Where each piece begins, and the end of the text.
    starts: Vec<u32>,
    /// How many tokens stand before each piece, and in all.
    before: Vec<u32>,
    /// For each piece, whether it goes on with a word that began before it; false at the end.
    inside: Vec<bool>,
}

impl<'a> Tokens<'a> {
    /// Splits `text[range]`; `range` lies on character boundaries and ends below 4 GiB.
    ///
    /// # Errors
    /// When the vocabulary cannot be read.
    pub fn of(text: &'a str, range: Range<usize>) -> Result<Self, TokenError> {
        let coder = Coder::get()?;
        let guess = range.len() / 4 + 2;
        let mut this = Self {
            text: &text[..range.end],
            coder,
            starts: Vec::with_capacity(guess),
            before: Vec::with_capacity(guess),
            inside: Vec::with_capacity(guess),
        };
        this.push(range.start, 0, false);
        let (mut scratch, mut at) = (Scratch::default(), range.start);
        let mut ends = Vec::new();
        while at < range.end {
            let word = at..coder.words.end(this.text, at);
            at = word.end;
            ends.clear();
            coder.tokens(this.text, word.clone(), &mut scratch, |end| ends.push(end));
            this.push_word(word.end, &ends);
        }
        Ok(this)
    }

    fn push_word(&mut self, word_end: usize, ends: &[usize]) {
        let seen = self.before.last().copied().unwrap_or_default();
        if ends.len() > WHOLE {
            for (count, end) in (1..).zip(&ends[..ends.len() - 1]) {
                if self.text.is_char_boundary(*end) {
                    self.push(*end, seen + count, true);
                }
            }
        }
        self.push(word_end, seen + ends.len() as u32, false);
    }

    fn push(&mut self, start: usize, before: u32, inside: bool) {
        self.starts.push(start as u32);
        self.before.push(before);
        self.inside.push(inside);
    }

    /// How many pieces there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// True when the text was empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where piece `index` begins, in bytes of the text; the end of the text for `len()`.
    pub fn start(&self, index: usize) -> usize {
        self.starts[index] as usize
    }

    /// How many tokens the pieces of `range` hold where they stand.
    pub fn count(&self, range: Range<usize>) -> usize {
        (self.before[range.end] - self.before[range.start]) as usize
    }

    /// The piece that holds byte `offset`.
    pub fn at(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start as usize <= offset).saturating_sub(1)
    }

    /// The last piece boundary from `from` on, at most `to`, with at most `max` tokens before it.
    pub fn furthest(&self, from: usize, to: usize, max: usize) -> usize {
        let limit = self.before[from] as usize + max;
        // A piece has a token at least.
        let to = to.min(from + max + 1);
        from + self.before[from..=to].partition_point(|seen| *seen as usize <= limit) - 1
    }

    /// The pieces of `range` without the white space at their ends, and how many tokens that has by itself: what
    /// [`count`] would say. `None` when nothing is left.
    pub fn trimmed(&self, range: Range<usize>) -> Option<(Range<usize>, usize)> {
        let (from, to) = (self.start(range.start), self.start(range.end));
        let text = &self.text[from..to];
        let start = from + (text.len() - text.trim_start().len());
        let text = text.trim();
        let end = start + text.len();
        (start < end).then(|| (start..end, self.count_alone(&range, start..end)))
    }

    /// The tokens of `span`, which is `pieces` without white space at the ends. Only words that are no longer whole are
    /// made into tokens again.
    fn count_alone(&self, pieces: &Range<usize>, span: Range<usize>) -> usize {
        let mut scratch = Scratch::default();
        let whole = |words| self.coder.count(self.text, words, &mut Scratch::default());
        // The last word: the one that holds the last byte.
        let mut last = pieces.end;
        while last > pieces.start && (self.start(last) >= span.end || self.inside[last]) {
            last -= 1;
        }
        let (mut piece, mut at, mut counted) = (pieces.start, span.start, 0);
        // From a word's start on the words are those that are known.
        while self.inside[piece] || self.start(piece) != at {
            if at >= span.end || self.start(last) < at {
                return whole(span);
            }
            let end = self.coder.words.end(&self.text[..span.end], at);
            counted += self.coder.count_word(self.text, at..end, &mut scratch);
            at = end;
            while piece < pieces.end && self.start(piece) < at {
                piece += 1;
            }
        }
        if piece > last {
            return if at == span.end { counted } else { whole(span) };
        }
        counted + self.count(piece..last) + whole(self.start(last)..span.end)
    }
}

/// How many tokens a text has by itself.
///
/// # Errors
/// As [`Tokens::of`].
pub fn count(text: &str) -> Result<usize, TokenError> {
    Ok(Coder::get()?.count(text, 0..text.len(), &mut Scratch::default()))
}

/// Makes tokens of text.
#[derive(Clone, Copy)]
struct Coder {
    words: Words,
    vocabulary: &'static Vocabulary,
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("o200k_base")
    }
}

impl Coder {
    fn get() -> Result<Self, TokenError> {
        Ok(Self { words: Words::get(), vocabulary: Vocabulary::get()? })
    }

    /// Calls `ended` with the end of every token of a word of `text`.
    fn tokens(&self, text: &str, word: Range<usize>, scratch: &mut Scratch, mut ended: impl FnMut(usize)) {
        let mut at = word.start;
        while at < word.end {
            let end = if word.end - at > PIECE { text.floor_char_boundary(at + PIECE) } else { word.end };
            self.vocabulary.tokens(&text.as_bytes()[at..end], scratch, |width| ended(at + width));
            at = end;
        }
    }

    fn count_word(&self, text: &str, word: Range<usize>, scratch: &mut Scratch) -> usize {
        let mut count = 0;
        self.tokens(text, word, scratch, |_| count += 1);
        count
    }

    /// The tokens of `text[range]` as if nothing else were there.
    fn count(&self, text: &str, range: Range<usize>, scratch: &mut Scratch) -> usize {
        let (text, mut at, mut count) = (&text[..range.end], range.start, 0);
        while at < range.end {
            let end = self.words.end(text, at);
            count += self.count_word(text, at..end, scratch);
            at = end;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// What the published tokenizer says.
    fn reference(text: &str) -> usize {
        tiktoken_rs::o200k_base_singleton().encode(text, &HashSet::new()).unwrap().0.len()
    }

    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("'s".to_owned()),
            "[A-Za-z']{1,12}",
            "[ \t\r\n\u{a0}\u{2028}/]{1,4}",
            "[\\p{Lu}\\p{Ll}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}\\p{N}'ſ ]{1,8}",
            "\\p{M}[A-Z]{0,3}",
            "[\\p{P}\\p{S}]{1,6}",
            "\\PC{0,10}",
            "[日本語한국어กขค]{1,40}",
            "[a-z]{100,300}",
            any::<String>(),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn counts_are_those_of_the_published_tokenizer(text in texts()) {
            prop_assert_eq!(count(&text).unwrap(), reference(&text));
        }

        #[test]
        fn any_range_of_pieces_is_counted_as_if_it_were_alone(text in texts(), from in 0.0..1.0, to in 0.0..1.0) {
            let tokens = Tokens::of(&text, 0..text.len()).unwrap();
            let place = |share: f64| (share * (tokens.len() + 1) as f64) as usize;
            let (from, to) = (place(from).min(place(to)), place(from).max(place(to)));
            if let Some((span, counted)) = tokens.trimmed(from..to) {
                let alone = &text[span];
                prop_assert_eq!(alone, text[tokens.start(from)..tokens.start(to)].trim());
                prop_assert_eq!(counted, reference(alone), "{:?}", alone);
            }
        }
    }

    #[test]
    fn boundaries_are_characters_even_when_tokens_are_not() {
        let text = "naïve 👩‍👩‍👧👩‍👩‍👧 ꙮ 𒐫 tail";
        let tokens = Tokens::of(text, 0..text.len()).unwrap();
        assert!((0..=tokens.len()).all(|i| text.is_char_boundary(tokens.start(i))));
        assert_eq!(tokens.start(tokens.len()), text.len());
        assert_eq!(tokens.count(0..tokens.len()), count(text).unwrap());
        assert!(tokens.count(0..tokens.len()) > tokens.len(), "some character takes several tokens");
    }

    #[test]
    fn finds_pieces_and_limits() {
        let text = "skip one two three four";
        let tokens = Tokens::of(text, 4..text.len()).unwrap();
        assert_eq!(tokens.len(), 4);
        assert_eq!(&text[tokens.start(1)..tokens.start(2)], " two");
        assert_eq!(tokens.at(tokens.start(1) + 2), 1);
        assert_eq!(tokens.furthest(0, 4, 3), 3);
        assert_eq!(tokens.furthest(1, 2, 3), 2);
    }

    #[test]
    fn hostile_runs_are_counted_not_feared() {
        for text in [" ".repeat(300_000), "\n".repeat(300_000), "a".repeat(300_000), "é".repeat(100_000)] {
            let tokens = Tokens::of(&text, 0..text.len()).unwrap();
            assert_eq!(tokens.start(tokens.len()), text.len());
        }
        assert!(Tokens::of("", 0..0).unwrap().is_empty());
    }
}
