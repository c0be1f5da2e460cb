//! The directions that need no model, and texts that obey them.
use copydesk_guard::text;
use copydesk_proto::llm_router::v1::DirectionRule;

use crate::domain::{Direction, Prompt};

/// How a text must begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Number,
    Question,
}

/// The directions of a brief, ready to obey. Where two of a kind meet, the stricter limit holds and the earlier
/// opening.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub max_words: Option<usize>,
    pub max_sentence_words: Option<usize>,
    pub avoid: Vec<String>,
    pub prefer: Vec<String>,
    pub opening: Option<Opening>,
    pub max_hashtags: Option<usize>,
}

/// How many words a text has: by our count or by its blanks, whichever says more, so that no reader counts more.
pub(super) fn count(text: &str) -> usize {
    text::words(text).len().max(text.split_whitespace().filter(|w| w.contains(char::is_alphanumeric)).count())
}

impl Rules {
    pub(super) fn of(prompt: &Prompt) -> Self {
        let mut rules = Self::default();
        for direction in &prompt.brief.directions {
            match direction.rule {
                DirectionRule::Unspecified => rules.add(&read(&direction.text)),
                _ => rules.add(direction),
            }
        }
        // A token is about three quarters of a word.
        let written = prompt.max_output_tokens as usize * 3 / 4;
        rules.max_words = Some(rules.max_words.unwrap_or(usize::MAX).min(written.max(1)));
        rules
    }

    fn add(&mut self, direction: &Direction) {
        let limit = direction.limit as usize;
        let phrase = direction.phrase.trim().to_lowercase();
        let stricter = |held: Option<usize>| Some(held.map_or(limit, |held| held.min(limit)));
        match direction.rule {
            DirectionRule::MaxWords if limit > 0 => self.max_words = stricter(self.max_words),
            DirectionRule::MaxSentenceWords if limit > 0 => {
                self.max_sentence_words = stricter(self.max_sentence_words);
            }
            DirectionRule::AvoidPhrase if !phrase.is_empty() => self.avoid.push(phrase),
            DirectionRule::PreferPhrase if !phrase.is_empty() => self.prefer.push(phrase),
            DirectionRule::OpenWithNumber => self.opening = self.opening.or(Some(Opening::Number)),
            DirectionRule::OpenWithQuestion => self.opening = self.opening.or(Some(Opening::Question)),
            DirectionRule::MaxHashtags => self.max_hashtags = stricter(self.max_hashtags),
            _ => {}
        }
    }

    /// Whether a sentence, a heading or a question may be used at all.
    pub(super) fn allow(&self, sentence: &str) -> bool {
        let lower = sentence.to_lowercase();
        !self.avoid.iter().any(|phrase| lower.contains(phrase))
            && self.max_sentence_words.is_none_or(|limit| count(sentence) <= limit)
    }

    /// Whether a sentence holds a phrase that is wished for.
    pub(super) fn prefers(&self, sentence: &str) -> bool {
        let lower = sentence.to_lowercase();
        self.prefer.iter().any(|phrase| lower.contains(phrase))
    }

    /// The most words of a text that may have `most` by its kind.
    pub(super) fn words(&self, most: usize) -> usize {
        self.max_words.map_or(most, |limit| limit.min(most))
    }

    /// A text without the sentences that break a rule, as long as there is room.
    pub(super) fn cut(&self, text: &str) -> String {
        let mut room = self.max_words.unwrap_or(usize::MAX);
        let mut kept = String::new();
        let mut last_line = None;
        for sentence in text::sentences(text) {
            let words = &text[sentence.span.clone()];
            let size = count(words);
            if !self.allow(words) || size > room {
                continue;
            }
            room -= size;
            let line = text[..sentence.span.start].matches('\n').count();
            let gap = match last_line {
                None => "",
                Some(last) if last == line => " ",
                Some(_) => "\n\n",
            };
            kept.push_str(gap);
            kept.push_str(words);
            last_line = Some(line);
        }
        kept
    }
}

/// A direction in words, as a rule where the words say one: reviewers' notes come back like this.
fn read(words: &str) -> Direction {
    let lower = words.to_lowercase();
    let has = |list: &[&str]| list.iter().any(|word| lower.contains(word));
    let limit = number_in(&lower).unwrap_or(0);
    let bounded =
        has(&["at most", "no more than", "under ", "below ", "shorter than", "max", "up to", "fewer than"]);
    let phrase = quoted(words).unwrap_or_default();
    let opening = has(&["open ", "start ", "begin "]);
    let rule = match () {
        () if bounded && limit > 0 && has(&["hashtag"]) => DirectionRule::MaxHashtags,
        () if bounded && limit > 0 && has(&["sentence"]) && has(&["word"]) => DirectionRule::MaxSentenceWords,
        () if bounded && limit > 0 && has(&["word"]) => DirectionRule::MaxWords,
        () if opening && has(&["number", "figure"]) => DirectionRule::OpenWithNumber,
        () if opening && has(&["question"]) => DirectionRule::OpenWithQuestion,
        () if !phrase.is_empty() && has(&["avoid", "do not use", "don't use", "never use"]) => {
            DirectionRule::AvoidPhrase
        }
        () => DirectionRule::Unspecified,
    };
    Direction { text: words.to_owned(), rule, limit, phrase }
}

fn number_in(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

fn quoted(text: &str) -> Option<String> {
    let (_, rest) = text.split_once(['"', '“'])?;
    let (phrase, _) = rest.split_once(['"', '”'])?;
    Some(phrase.trim().to_owned()).filter(|phrase| !phrase.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_in_words_become_rules() {
        for (words, rule, limit, phrase) in [
            ("Write at most 80 words; the draft has 130.", DirectionRule::MaxWords, 80, ""),
            ("Keep each sentence to at most 20 words.", DirectionRule::MaxSentenceWords, 20, ""),
            ("Open with a sentence that carries a number.", DirectionRule::OpenWithNumber, 0, ""),
            ("Start with a question.", DirectionRule::OpenWithQuestion, 0, ""),
            ("Never use \"game changer\".", DirectionRule::AvoidPhrase, 0, "game changer"),
            ("No more than 3 hashtags.", DirectionRule::MaxHashtags, 3, ""),
            ("Be kind.", DirectionRule::Unspecified, 0, ""),
        ] {
            let found = read(words);
            assert_eq!((found.rule, found.limit, found.phrase.as_str()), (rule, limit, phrase), "{words}");
        }
    }

    #[test]
    fn cutting_keeps_what_fits_and_the_paragraphs() {
        let rules = Rules { max_words: Some(9), avoid: vec!["magic".into()], ..Rules::default() };
        let text = "Boxes store many readings. Magic helps here too.\nDrivers answer their alerts. One more sentence here.";
        assert_eq!(rules.cut(text), "Boxes store many readings.\n\nDrivers answer their alerts.");
        assert!(!rules.allow("MAGIC boxes"));
    }

    #[test]
    fn words_are_counted_as_the_stricter_reader_does() {
        assert_eq!(count("a 30-day test – of 45 % here"), 7);
        assert_eq!(count(""), 0);
    }
}
