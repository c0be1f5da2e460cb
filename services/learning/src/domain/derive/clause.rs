//! A comment's sentence in clauses of words and quoted phrases.

use std::ops::Range;

use copydesk_guard::text;

/// A word, or a quoted phrase as one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A word.
    Word {
        /// In lower case.
        lower: String,
        /// As it is spelt.
        said: String,
    },
    /// The words between quotation marks, without them.
    Quote(String),
}

impl Item {
    /// The word; empty for a quoted phrase, which no pattern equals.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::Word { lower, .. } => lower,
            Self::Quote(_) => "",
        }
    }

    /// The word or the quoted words as they are spelt.
    pub(super) fn said(&self) -> &str {
        match self {
            Self::Word { said, .. } => said,
            Self::Quote(quote) => quote,
        }
    }

    pub(super) fn is_one_of(&self, words: &[&str]) -> bool {
        words.contains(&self.word())
    }
}

/// A part of a sentence between commas, dashes, brackets and conjunctions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Clause {
    pub(super) items: Vec<Item>,
}

/// Conjunctions that begin a clause.
const JOINS: [&str; 4] = ["and", "but", "or", "then"];
const NEGATIONS: [&str; 12] = [
    "not", "don't", "dont", "never", "no", "isn't", "doesn't", "wasn't", "without", "avoid", "stop",
    "instead",
];
const SUBJECTS: [&str; 3] = ["you", "we", "it"];
const MODALS: [&str; 11] =
    ["to", "should", "must", "could", "can", "would", "will", "please", "need", "let's", "better"];
/// What may stand before a command without taking its force.
const LEAD_IN: [&str; 8] = ["always", "also", "next", "time", "just", "maybe", "perhaps", "i'd"];

impl Clause {
    pub(super) fn word(&self, at: usize) -> &str {
        self.items.get(at).map_or("", Item::word)
    }

    /// Where one of `words` stands at or after `from`.
    pub(super) fn find(&self, from: usize, words: &[&str]) -> Option<usize> {
        (from..self.items.len()).find(|at| self.items[*at].is_one_of(words))
    }

    pub(super) fn has(&self, words: &[&str]) -> bool {
        self.find(0, words).is_some()
    }

    /// Whether one of the three words before `at` turns the meaning round.
    pub(super) fn negated(&self, at: usize) -> bool {
        let before = &self.items[at.saturating_sub(3)..at.min(self.items.len())];
        before.iter().any(|item| item.is_one_of(&NEGATIONS))
    }

    /// Whether the verb at `at` is a command: a modal word right before it (`to`, `please`, `could you`), or nothing
    /// but a lead-in. `You always open with a number` tells a habit and asks for nothing.
    pub(super) fn commanded(&self, at: usize) -> bool {
        let before = &self.items[..at.min(self.items.len())];
        let Some((last, rest)) = before.split_last() else { return true };
        let addressed = last.is_one_of(&SUBJECTS) && rest.last().is_some_and(|word| word.is_one_of(&MODALS));
        let habit = before.iter().any(|item| item.is_one_of(&SUBJECTS))
            && !before.iter().any(|item| item.is_one_of(&MODALS));
        let lead = before.iter().all(|item| item.is_one_of(&LEAD_IN) || item.is_one_of(&MODALS));
        !habit && (addressed || last.is_one_of(&MODALS) || lead)
    }
}

/// The clauses of one sentence, in order; none is empty.
pub(super) fn clauses(sentence: &str) -> Vec<Clause> {
    let mut found = Vec::new();
    let mut current = Clause::default();
    let mut end = 0;
    for (span, item) in items(sentence) {
        let joins = item.is_one_of(&JOINS);
        if joins || breaks(&sentence[end.min(span.start)..span.start]) {
            flush(&mut current, &mut found);
        }
        end = span.end;
        if !joins {
            current.items.push(item);
        }
    }
    flush(&mut current, &mut found);
    found
}

fn flush(current: &mut Clause, found: &mut Vec<Clause>) {
    if !current.items.is_empty() {
        found.push(std::mem::take(current));
    }
}

fn breaks(gap: &str) -> bool {
    gap.contains([',', ';', '(', ')', '–', '—', '\n']) || gap.contains(" - ")
}

/// Words and quoted phrases in order of place; words inside a quoted phrase are not told on their own.
fn items(sentence: &str) -> Vec<(Range<usize>, Item)> {
    let quotes = quotes(sentence);
    let outside = |span: &Range<usize>| quotes.iter().all(|q| span.end <= q.start || q.end <= span.start);
    let words = text::words(sentence).into_iter().filter(|word| outside(&word.span));
    let mut items: Vec<(Range<usize>, Item)> =
        words.map(|word| (word.span.clone(), spelt(word, sentence))).collect();
    items.extend(quotes.iter().filter_map(|span| {
        let inner = sentence[span.clone()].trim_matches(is_quote_mark).trim();
        (!inner.is_empty()).then(|| (span.clone(), Item::Quote(inner.to_owned())))
    }));
    items.sort_by_key(|(span, _)| span.start);
    items
}

/// The word as it is spelt in the sentence, where that is only a matter of capitals; else as it was normalised.
fn spelt(word: text::Word, sentence: &str) -> Item {
    let said = sentence.get(word.span).filter(|said| said.to_lowercase() == word.lower);
    Item::Word { said: said.unwrap_or(&word.lower).to_owned(), lower: word.lower }
}

/// The places of quoted phrases, marks included.
fn quotes(sentence: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open: Option<(usize, char)> = None;
    let mut before = ' ';
    let mut chars = sentence.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let after = chars.peek().map_or(' ', |(_, next)| *next);
        match open {
            Some((start, close)) if c == close && (c != '\'' && c != '’' || !after.is_alphanumeric()) => {
                found.push(start..at + c.len_utf8());
                open = None;
            }
            None => open = closing(c, before).map(|close| (at, close)),
            Some(_) => {}
        }
        before = c;
    }
    found
}

/// The mark that closes a phrase opened by `c`. An apostrophe inside a word opens nothing.
fn closing(c: char, before: char) -> Option<char> {
    match c {
        '"' | '`' => Some(c),
        '“' | '„' => Some('”'),
        '«' => Some('»'),
        '‘' => Some('’'),
        '\'' if !before.is_alphanumeric() => Some('\''),
        _ => None,
    }
}

fn is_quote_mark(c: char) -> bool {
    matches!(c, '"' | '`' | '“' | '”' | '„' | '«' | '»' | '‘' | '’' | '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sentence: &str) -> Vec<String> {
        let show = |item: &Item| match item {
            Item::Word { lower, .. } => lower.clone(),
            Item::Quote(quote) => format!("<{quote}>"),
        };
        clauses(sentence).iter().map(|c| c.items.iter().map(show).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn sentences_split_into_clauses() {
        for (sentence, expected) in [
            ("Too long, and avoid 'big, bold words'.", vec!["too long", "avoid <big, bold words>"]),
            (
                "Don't use “synergy” – it's the customers' word",
                vec!["don't use <synergy>", "it the customers word"],
            ),
            ("the team's and the vans' alarms", vec!["the team", "the vans alarms"]),
            ("an \"open quote", vec!["an open quote"]),
            ("", vec![]),
            ("and, but (or)", vec![]),
        ] {
            assert_eq!(shown(sentence), expected, "{sentence}");
        }
    }

    #[test]
    fn commands_are_told_from_statements() {
        let at = |sentence: &str| {
            let clause = clauses(sentence).remove(0);
            clause.find(0, &["open"]).map(|at| clause.commanded(at))
        };
        for sentence in [
            "Open with",
            "please always open",
            "you should open",
            "I want you to open",
            "It must open",
            "Can you open",
            "next time open",
            "I would open",
        ] {
            assert_eq!(at(sentence), Some(true), "{sentence}");
        }
        for sentence in ["You open with", "you always open", "the posts open", "it open"] {
            assert_eq!(at(sentence), Some(false), "{sentence}");
        }
    }
}
