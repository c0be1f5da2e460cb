//! Splits text into the words that o200k_base makes tokens of: the vocabulary's splitting pattern, by hand.
//!
//! The pattern is seven alternatives, the first that matches wins:
//!
//! ```text
//! [^\r\n\p{L}\p{N}]? [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]* [\p{Ll}\p{Lm}\p{Lo}\p{M}]+ (?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! [^\r\n\p{L}\p{N}]? [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+ [\p{Ll}\p{Lm}\p{Lo}\p{M}]* (?i:'s|'t|'re|'ve|'m|'ll|'d)?
//! \p{N}{1,3}  |  ' '?[^\s\p{L}\p{N}]+[\r\n/]*  |  \s*[\r\n]+  |  \s+(?!\S)  |  \s+
//! ```
//!
//! It looks back at nothing, and only the sixth looks ahead. So from any word's start the words that follow are the
//! same whatever stood before, and a text that ends at a word's end has the same words as it had inside a longer one.

use std::sync::OnceLock;

const UPPER: u8 = 1;
const LOWER: u8 = 2;
const LETTER: u8 = 4;
const NUMBER: u8 = 8;
const SPACE: u8 = 16;
const NEWLINE: u8 = 32;

/// Splits texts into words.
#[derive(Clone, Copy)]
pub(super) struct Words {
    classes: &'static [u8],
}

impl Words {
    pub(super) fn get() -> Self {
        static CLASSES: OnceLock<Box<[u8]>> = OnceLock::new();
        Self { classes: CLASSES.get_or_init(classes) }
    }

    /// Where the word ends that begins at `at`, which is below the length of `text`.
    pub(super) fn end(self, text: &str, at: usize) -> usize {
        let scan = Scan { classes: self.classes, text };
        let (class, after) = scan.at(at);
        if class & NUMBER != 0 {
            return scan.number(after);
        }
        let prefix = class & (LETTER | NEWLINE) == 0;
        let lower = if prefix { scan.lower(after) } else { None };
        let lower = lower.or_else(|| scan.lower(at));
        let upper = || if prefix { scan.upper(after) } else { None };
        match lower.or_else(upper).or_else(|| scan.upper(at)) {
            Some(end) => end + ending(&text.as_bytes()[end..]),
            None => scan.other(at, class, after),
        }
    }
}

struct Scan<'a> {
    classes: &'static [u8],
    text: &'a str,
}

impl Scan<'_> {
    /// The class of the character at `at` and where the next one begins; no class at the end.
    fn at(&self, at: usize) -> (u8, usize) {
        match self.text.as_bytes().get(at) {
            None => (0, at),
            Some(byte) if byte.is_ascii() => (self.classes[usize::from(*byte)], at + 1),
            Some(_) => {
                let c = self.text[at..].chars().next().unwrap_or_default();
                (self.classes[c as usize], at + c.len_utf8())
            }
        }
    }

    fn run(&self, mut at: usize, class: u8) -> usize {
        while at < self.text.len() {
            let (found, after) = self.at(at);
            if found & class == 0 {
                break;
            }
            at = after;
        }
        at
    }

    /// The letters of the first alternative: it ends with one that can be lower case.
    fn lower(&self, from: usize) -> Option<usize> {
        let upper = self.run(from, UPPER);
        let (class, _) = self.at(upper);
        if class & LOWER != 0 { Some(self.run(upper, LOWER)) } else { self.last_lower(from, upper) }
    }

    /// The letters of the second alternative, which is tried when the first has failed: none can be lower case.
    fn upper(&self, from: usize) -> Option<usize> {
        let upper = self.run(from, UPPER);
        (upper > from).then_some(upper)
    }

    /// The end of the last character of `from..to` that can be lower case.
    fn last_lower(&self, from: usize, to: usize) -> Option<usize> {
        let mut rest = self.text[from..to].char_indices().rev();
        let (at, c) = rest.find(|(_, c)| self.classes[*c as usize] & LOWER != 0)?;
        Some(from + at + c.len_utf8())
    }

    fn number(&self, mut at: usize) -> usize {
        for _ in 0..2 {
            let (class, after) = self.at(at);
            if class & NUMBER == 0 {
                break;
            }
            at = after;
        }
        at
    }

    /// The last four alternatives.
    fn other(&self, at: usize, class: u8, after: usize) -> usize {
        let space = self.text.as_bytes()[at] == b' ';
        let start = if space { after } else { at };
        let marks = self.marks(start);
        if marks > start {
            let rest = &self.text.as_bytes()[marks..];
            return marks + rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n' | b'/')).count();
        }
        debug_assert!(class & SPACE != 0);
        let end = self.run(at, SPACE);
        let run = &self.text[at..end];
        if let Some(newline) = run.rfind(['\r', '\n']) {
            return at + newline + 1;
        }
        let last = run.chars().next_back().map_or(0, char::len_utf8);
        if end == self.text.len() || last == run.len() { end } else { end - last }
    }

    fn marks(&self, mut at: usize) -> usize {
        while at < self.text.len() {
            let (class, after) = self.at(at);
            if class & (SPACE | LETTER | NUMBER) != 0 {
                break;
            }
            at = after;
        }
        at
    }
}

/// The width of an English ending. U+017F is an `s` to a pattern that does not look at case.
fn ending(rest: &[u8]) -> usize {
    match rest {
        [b'\'', b's' | b'S' | b't' | b'T' | b'm' | b'M' | b'd' | b'D', ..] => 2,
        [b'\'', 0xc5, 0xbf, ..] => 3,
        [b'\'', b'r' | b'R' | b'v' | b'V', b'e' | b'E', ..] | [b'\'', b'l' | b'L', b'l' | b'L', ..] => 3,
        _ => 0,
    }
}

/// What each character is to the pattern, by the tables of the regex crates, so that it is what it is to them.
fn classes() -> Box<[u8]> {
    let mut classes = vec![0; char::MAX as usize + 1].into_boxed_slice();
    let groups = [
        (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", UPPER),
        (r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", LOWER),
        (r"\p{L}", LETTER),
        (r"\p{N}", NUMBER),
        (r"\s", SPACE),
        (r"[\r\n]", NEWLINE),
    ];
    for (pattern, class) in groups {
        for range in ranges(pattern) {
            classes[range].iter_mut().for_each(|held| *held |= class);
        }
    }
    classes
}

fn ranges(pattern: &str) -> Vec<std::ops::RangeInclusive<usize>> {
    use regex_syntax::hir::{Class, HirKind};
    let Ok(parsed) = regex_syntax::parse(pattern) else { return Vec::new() };
    match parsed.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|range| range.start() as usize..=range.end() as usize).collect()
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().map(|range| usize::from(range.start())..=usize::from(range.end())).collect()
        }
        _ => Vec::new(),
    }
}
