//! What common English words are about, and which mean the same or the opposite: a table out of WordNet 3.1 (Fellbaum
//! 1998), by stems. `examples/wordnet.rs` writes it; the licence is at its head.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

const FILE: &str = include_str!("../data/wordnet.txt");

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(FILE));

#[derive(Debug)]
struct Table {
    entries: Vec<Entry>,
    numbers: HashMap<&'static str, u16, RandomState>,
}

/// A stem of the table.
#[derive(Debug)]
pub(crate) struct Entry {
    number: u16,
    stem: &'static str,
    /// WordNet's lexicographer file of the most frequent sense, 0 to 44.
    class: u8,
    alike: Vec<u16>,
    opposed: Vec<u16>,
}

/// What a word is about, as far as its most frequent sense tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum About {
    /// `report`, `mention`.
    Saying,
    /// `know`, `hope`, `see`.
    Thinking,
    /// `grow`, `end`.
    Change,
    /// All other verbs.
    Doing,
    Person,
    /// Things, places, groups, times and amounts.
    Thing,
    /// Acts, states, events, relations and other nouns.
    Idea,
    Quality,
}

impl About {
    /// All, in their order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Saying,
        Self::Thinking,
        Self::Change,
        Self::Doing,
        Self::Person,
        Self::Thing,
        Self::Idea,
        Self::Quality,
    ];
}

/// The entry of a stem.
pub(crate) fn entry(stem: &str) -> Option<&'static Entry> {
    let table: &'static Table = &TABLE;
    table.numbers.get(stem).and_then(|number| table.entries.get(usize::from(*number)))
}

impl Entry {
    /// What the word is about; `None` for adverbs.
    pub(crate) fn about(&self) -> Option<About> {
        Some(match self.class {
            32 => About::Saying,
            31 | 37 | 39 => About::Thinking,
            30 => About::Change,
            29 | 33..=36 | 38 | 40..=43 => About::Doing,
            18 => About::Person,
            5 | 6 | 8 | 13..=15 | 17 | 19 | 20 | 23 | 27 | 28 => About::Thing,
            3 | 4 | 7 | 9..=12 | 16 | 21 | 22 | 24..=26 => About::Idea,
            0 | 1 | 44 => About::Quality,
            _ => return None,
        })
    }

    /// Whether both are of one class.
    pub(crate) fn is_of_class(&self, other: &Self) -> bool {
        self.class == other.class
    }

    /// Whether both have a sense in common.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.alike.binary_search(&other.number).is_ok()
    }

    /// Whether they are opposites.
    pub(crate) fn is_against(&self, other: &Self) -> bool {
        self.opposed.binary_search(&other.number).is_ok()
    }

    /// The stems that share a sense with this one.
    pub(crate) fn alike(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        let of = |number: &u16| TABLE.entries.get(usize::from(*number)).map(|entry| entry.stem);
        self.alike.iter().filter_map(of)
    }
}

impl Table {
    /// Reads lines of `stem class others`; each pair stands with one of the two only.
    fn read(file: &'static str) -> Self {
        let lines: Vec<&'static str> = file.lines().filter(|line| !line.starts_with('#')).collect();
        let mut entries: Vec<Entry> =
            (0..).zip(&lines).map(|(number, line)| Entry::read(number, line)).collect();
        for (at, line) in lines.iter().enumerate() {
            for other in line.split(' ').skip(2) {
                let (digits, against) = other.strip_prefix('!').map_or((other, false), |rest| (rest, true));
                let Ok(to) = usize::from_str_radix(digits, 36) else { continue };
                for (from, to) in [(at, to), (to, at)] {
                    let (Some(entry), Ok(to)) = (entries.get_mut(from), u16::try_from(to)) else { continue };
                    if against { entry.opposed.push(to) } else { entry.alike.push(to) }
                }
            }
        }
        for entry in &mut entries {
            entry.alike.sort_unstable();
            entry.opposed.sort_unstable();
        }
        let numbers = entries.iter().map(|entry| (entry.stem, entry.number)).collect();
        Self { entries, numbers }
    }
}

impl Entry {
    fn read(number: u16, line: &'static str) -> Self {
        let mut fields = line.split(' ');
        let stem = fields.next().unwrap_or("");
        let class = fields.next().and_then(|class| class.parse().ok()).unwrap_or(u8::MAX);
        Self { number, stem, class, alike: Vec::new(), opposed: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::stem;

    fn of(word: &str) -> Option<&'static Entry> {
        entry(&stem(word))
    }

    #[test]
    fn the_file_is_whole_and_carries_its_licence() {
        assert!(FILE.starts_with("# ") && FILE.contains("Princeton University"));
        assert!(TABLE.entries.len() > 3000 && TABLE.entries.iter().all(|entry| entry.class < 45));
        assert!(TABLE.entries.is_sorted_by_key(|entry| entry.stem));
        assert_eq!(TABLE.numbers.len(), TABLE.entries.len(), "a stem is there twice");
        let linked = |entry: &Entry| {
            entry.alike.iter().chain(&entry.opposed).all(|to| usize::from(*to) < TABLE.entries.len())
        };
        assert!(TABLE.entries.iter().all(linked));
    }

    #[test]
    fn words_have_relations_and_classes() {
        let related = |a: &str, b: &str| {
            let (a, b) = (of(a)?, of(b)?);
            Some((a.is_like(b), a.is_against(b)))
        };
        for (a, b, expected) in [
            ("discount", "rebates", (true, false)),
            ("large", "small", (false, true)),
            ("accelerate", "decelerate", (false, true)),
            ("report", "banana", (false, false)),
        ] {
            if let Some(found) = related(a, b) {
                assert_eq!(found, expected, "{a} {b}");
                assert_eq!(related(b, a), Some(expected), "{b} {a}");
            }
        }
        assert_eq!(related("large", "small"), Some((false, true)));
        assert_eq!(of("mentions").and_then(Entry::about), Some(About::Saying));
        assert_eq!(of("manager").and_then(Entry::about), Some(About::Person));
        assert_eq!(of("large").and_then(Entry::about), Some(About::Quality));
        assert!(entry("acme").is_none());
        assert!(of("large").is_some_and(|large| large.alike().any(|other| other == "big")));
    }
}
