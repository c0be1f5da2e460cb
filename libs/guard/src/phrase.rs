//! Word patterns in a small notation, matched on words rather than characters, so that case, width of blanks,
//! punctuation between words and compatibility forms make no difference.
//!
//! A pattern is a row of items: `word`, `one|other`, `guarant*` (begins so), `#` (a word with a digit), and `..` for
//! up to three words of any kind.

use std::ops::Range;

use crate::text::Word;

/// Most words that `..` may stand for.
const GAP: usize = 3;

#[derive(Debug)]
pub(crate) struct Phrase {
    items: Vec<Item>,
}

#[derive(Debug)]
enum Item {
    OneOf(Vec<Form>),
    Number,
    Gap,
}

#[derive(Debug)]
enum Form {
    Whole(Box<str>),
    Begins(Box<str>),
}

impl Phrase {
    /// Reads one pattern a line; blank lines are skipped.
    pub(crate) fn list(patterns: &str) -> Vec<Self> {
        patterns.lines().map(str::trim).filter(|line| !line.is_empty()).map(Self::new).collect()
    }

    /// Reads one pattern.
    pub(crate) fn new(pattern: &str) -> Self {
        let item = |item: &str| match item {
            "#" => Item::Number,
            ".." => Item::Gap,
            forms => Item::OneOf(forms.split('|').map(Form::new).collect()),
        };
        Self { items: pattern.split_whitespace().map(item).collect() }
    }

    /// How many words from the first on match the whole pattern.
    fn length_at(&self, words: &[Word]) -> Option<usize> {
        longest(&self.items, words)
    }
}

impl Form {
    fn new(form: &str) -> Self {
        match form.strip_suffix('*') {
            Some(start) => Self::Begins(start.into()),
            None => Self::Whole(form.into()),
        }
    }

    fn fits(&self, lower: &str) -> bool {
        match self {
            Self::Whole(form) => lower == &**form,
            Self::Begins(form) => lower.starts_with(&**form),
        }
    }
}

fn longest(items: &[Item], words: &[Word]) -> Option<usize> {
    let Some((item, later)) = items.split_first() else { return Some(0) };
    if matches!(item, Item::Gap) {
        return (0..=GAP.min(words.len()))
            .find_map(|gap| longest(later, &words[gap..]).map(|length| gap + length));
    }
    let (word, rest) = words.split_first()?;
    let fits = match item {
        Item::OneOf(forms) => forms.iter().any(|form| form.fits(&word.lower)),
        Item::Number => word.lower.bytes().any(|b| b.is_ascii_digit()),
        Item::Gap => false,
    };
    if fits { longest(later, rest).map(|length| length + 1) } else { None }
}

/// Positions in `words` of everything that matches one of the patterns, in order and without overlap.
pub(crate) fn hits(phrases: &[Phrase], words: &[Word]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        match phrases.iter().filter_map(|phrase| phrase.length_at(&words[at..])).max() {
            Some(length) if length > 0 => {
                found.push(at..at + length);
                at += length;
            }
            _ => at += 1,
        }
    }
    found
}

/// Whether the words begin with one of the patterns.
pub(crate) fn opens_with(phrases: &[Phrase], words: &[Word]) -> bool {
    phrases.iter().any(|phrase| phrase.length_at(words).is_some())
}

/// The bytes from the first to the last of these words.
pub(crate) fn span(words: &[Word], place: &Range<usize>) -> Range<usize> {
    let start = words.get(place.start).map_or(0, |word| word.span.start);
    let end = words.get(place.end.wrapping_sub(1)).map_or(start, |word| word.span.end);
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::words;

    #[test]
    fn notation() {
        let phrases = Phrase::list("risk free\n guarant* .. results\n make|earn # a|per month\n");
        for (text, expected) in [
            ("It is RISK-FREE today", vec!["RISK-FREE"]),
            ("We guarantee you the best results", vec!["guarantee you the best results"]),
            ("We guarantee you all of the best results", vec![]),
            ("earn $5,000 a month", vec!["earn $5,000 a month"]),
            ("earn money a month", vec![]),
        ] {
            let found = words(text);
            let got: Vec<&str> = hits(&phrases, &found).iter().map(|hit| &text[span(&found, hit)]).collect();
            assert_eq!(got, expected, "{text}");
        }
    }
}
