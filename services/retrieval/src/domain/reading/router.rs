//! Decides from measurements how hard a page is and which way it is read.

use serde::{Deserialize, Serialize};

/// How hard a page is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Complexity {
    /// Running text.
    Low,
    /// Text with columns, tables or pictures.
    Medium,
    /// Several of these, or characters that nobody can read among the others.
    High,
    /// The text cannot be had from the file: it is a picture, or its characters mean nothing.
    Extreme,
}

/// Which way a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Path {
    /// The text as the file has it.
    Text,
    /// The text put in order by where it stands: columns one after the other, tables as tables.
    Layout,
    /// From a picture of the page.
    Ocr,
}

impl Complexity {
    const WORDS: [(Self, &str); 4] =
        [(Self::Low, "low"), (Self::Medium, "medium"), (Self::High, "high"), (Self::Extreme, "extreme")];

    /// The word that is stored in rows.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(value, _)| *value == self).map_or("", |(_, word)| word)
    }

    /// The value with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(value, _)| *value)
    }
}

impl Path {
    const WORDS: [(Self, &str); 3] = [(Self::Text, "text"), (Self::Layout, "layout"), (Self::Ocr, "ocr")];

    /// The word that is stored in rows.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(value, _)| *value == self).map_or("", |(_, word)| word)
    }

    /// The value with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(value, _)| *value)
    }

    /// The way for a document of which there can be no picture.
    pub fn without_picture(self) -> Self {
        if self == Self::Ocr { Self::Text } else { self }
    }
}

/// What was measured on a page.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signals {
    /// Characters that are not white space.
    pub characters: usize,
    /// How many of them are replacement characters, controls or of private use.
    pub unmapped: usize,
    /// Pictures.
    pub pictures: usize,
    /// The part of the page that pictures cover, 0 to 1.
    pub covered: f64,
    /// Columns of text; 1 for running text.
    pub columns: usize,
    /// Tables.
    pub tables: usize,
    /// Fonts that do not say which characters they show.
    pub unmapped_fonts: usize,
    /// True when the page could not be read at all.
    pub broken: bool,
}

/// Fewer characters than these on a page with pictures: the text is in the pictures.
const FEW: usize = 50;
/// A larger part of unmapped characters: the text means nothing.
const MEANINGLESS: f64 = 0.3;
/// A larger part of unmapped characters: some words are lost.
const DAMAGED: f64 = 0.02;
/// A larger part of the page under pictures counts as one more difficulty.
const LARGE: f64 = 0.4;

impl Signals {
    /// How hard the page is, which way it is read, and the reasons.
    pub fn judge(&self) -> (Complexity, Path, Vec<String>) {
        let share = if self.characters == 0 { 0.0 } else { self.unmapped as f64 / self.characters as f64 };
        let pictured = self.characters < FEW && self.pictures > 0;
        let meaningless = share > MEANINGLESS;
        let arranged = self.columns > 1 || self.tables > 0;
        let complexity = if pictured || meaningless || self.broken {
            Complexity::Extreme
        } else {
            let hard = [self.columns > 1, self.tables > 0, self.covered > LARGE, share > DAMAGED];
            match (hard.iter().filter(|hard| **hard).count(), self.pictures) {
                (0, 0) => Complexity::Low,
                (0 | 1, _) => Complexity::Medium,
                _ => Complexity::High,
            }
        };
        let path = match complexity {
            Complexity::Extreme => Path::Ocr,
            _ if arranged => Path::Layout,
            _ => Path::Text,
        };
        (complexity, path, self.reasons(share))
    }

    fn reasons(&self, share: f64) -> Vec<String> {
        let mut reasons = Vec::new();
        let mut add = |there: bool, text: String| {
            if there {
                reasons.push(text);
            }
        };
        add(self.broken, "the page could not be read".into());
        add(self.characters < FEW, format!("{} characters", self.characters));
        add(self.unmapped > 0, format!("{:.0} % of characters mean nothing", share * 100.0));
        add(self.unmapped_fonts > 0, format!("{} fonts without a character map", self.unmapped_fonts));
        let covered = (self.covered * 100.0).round();
        add(self.pictures > 0, format!("{} pictures over {covered:.0} % of the page", self.pictures));
        add(self.columns > 1, format!("{} columns", self.columns));
        add(self.tables > 0, format!("{} tables", self.tables));
        reasons
    }
}

/// How many characters of a text are not white space, and how many of these nobody can read.
pub fn characters(text: &str) -> (usize, usize) {
    let mut counts = (0, 0);
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        counts.0 += 1;
        let private = matches!(c, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10fffd}');
        counts.1 += usize::from(c == '\u{fffd}' || c.is_control() || private);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measurement_moves_the_judgement() {
        let text = Signals { characters: 900, columns: 1, ..Signals::default() };
        for (signals, complexity, path) in [
            (text, Complexity::Low, Path::Text),
            (Signals { characters: 0, ..text }, Complexity::Low, Path::Text),
            (Signals { pictures: 1, covered: 0.1, ..text }, Complexity::Medium, Path::Text),
            (Signals { columns: 2, ..text }, Complexity::Medium, Path::Layout),
            (Signals { tables: 1, columns: 2, ..text }, Complexity::High, Path::Layout),
            (Signals { unmapped: 30, ..text }, Complexity::Medium, Path::Text),
            (Signals { unmapped: 30, pictures: 2, covered: 0.6, ..text }, Complexity::High, Path::Text),
            (Signals { unmapped: 300, ..text }, Complexity::Extreme, Path::Ocr),
            (Signals { characters: 3, pictures: 1, covered: 1.0, ..text }, Complexity::Extreme, Path::Ocr),
            (Signals { broken: true, ..text }, Complexity::Extreme, Path::Ocr),
        ] {
            let judged = signals.judge();
            assert_eq!((judged.0, judged.1), (complexity, path), "{signals:?}");
        }
        let (_, _, reasons) = Signals { characters: 3, pictures: 1, covered: 0.96, ..text }.judge();
        assert_eq!(reasons, ["3 characters", "1 pictures over 96 % of the page"]);
    }

    #[test]
    fn counts_what_nobody_can_read() {
        assert_eq!(characters("a b\u{fffd}\n\u{e001}"), (4, 2));
    }
}
