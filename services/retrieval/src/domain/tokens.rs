//! Token counts and token boundaries of a text, by the o200k_base vocabulary.
//!
//! A token of a byte-level vocabulary may end inside a character; such tokens are joined until a boundary comes, so
//! every boundary given here is a character boundary of the text.

use std::collections::HashSet;
use std::ops::Range;

use tiktoken_rs::{CoreBPE, o200k_base_singleton};

/// Longest stretch given to the tokenizer at once, in bytes. Its splitting pattern backtracks over runs of spaces and
/// its merge loop is not linear in the length of a word: hostile input must not reach it in one piece.
const STRETCH: usize = 16 * 1024;

/// The tokenizer could not read a text.
#[derive(Debug, Clone, thiserror::Error)]
#[error("tokenizer: {0}")]
pub struct TokenError(String);

/// The pieces of a text: tokens, joined where a token ends inside a character.
#[derive(Debug, Clone)]
pub struct Tokens {
    starts: Vec<u32>,
    before: Vec<u32>,
}

impl Tokens {
    /// Splits `text[range]`; `range` lies on character boundaries and ends below 4 GiB.
    ///
    /// # Errors
    /// When the vocabulary's splitting pattern gives up on the text.
    pub fn of(text: &str, range: Range<usize>) -> Result<Self, TokenError> {
        let bpe = o200k_base_singleton();
        let guess = range.len() / 4 + 2;
        let (mut starts, mut before) = (Vec::with_capacity(guess), Vec::with_capacity(guess));
        let (mut offset, mut seen) = (range.start, 0u32);
        starts.push(offset as u32);
        before.push(0);
        for stretch in stretches(text, range) {
            for token in encode(bpe, &text[stretch])? {
                offset += bpe.decode_bytes(&[token]).map_err(|error| TokenError(error.to_string()))?.len();
                seen += 1;
                if text.is_char_boundary(offset) {
                    starts.push(offset as u32);
                    before.push(seen);
                }
            }
        }
        Ok(Self { starts, before })
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

    /// How many tokens the pieces of `range` hold.
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
        from + self.before[from..=to].partition_point(|seen| *seen as usize <= limit) - 1
    }
}

/// How many tokens a text has by itself.
///
/// # Errors
/// As [`Tokens::of`].
pub fn count(text: &str) -> Result<usize, TokenError> {
    let bpe = o200k_base_singleton();
    stretches(text, 0..text.len()).map(|stretch| encode(bpe, &text[stretch]).map(|tokens| tokens.len())).sum()
}

fn encode(bpe: &CoreBPE, text: &str) -> Result<Vec<u32>, TokenError> {
    // The fallible call, with no special token allowed; `encode_ordinary` would panic where this one reports.
    match bpe.encode(text, &HashSet::new()) {
        Ok((tokens, _)) => Ok(tokens),
        Err(error) => Err(TokenError(error.to_string())),
    }
}

/// Cuts a range into stretches at line ends, else at spaces, else at a character.
fn stretches(text: &str, range: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let start = at;
        at = stretch_end(text, start, range.end);
        (start < range.end).then_some(start..at)
    })
}

fn stretch_end(text: &str, start: usize, end: usize) -> usize {
    if end - start <= STRETCH {
        return end;
    }
    let limit = text.floor_char_boundary(start + STRETCH);
    let window = &text[start..limit];
    let line = window.rfind('\n').map(|at| at + 1);
    line.or_else(|| window.rfind(' ').filter(|at| *at > 0)).map_or(limit, |at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries_are_characters_even_when_tokens_are_not() {
        let text = "naïve 👩‍👩‍👧 ꙮ 𒐫 tail";
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
