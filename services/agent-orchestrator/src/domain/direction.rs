//! What a writer must heed: lessons, reviewer's notes, the guard's objections.
use serde::{Deserialize, Serialize};

/// A direction that needs no model to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// At most `limit` words in the text.
    MaxWords,
    /// At most `limit` words in a sentence.
    MaxSentenceWords,
    /// Never use `phrase`.
    AvoidPhrase,
    /// Prefer sentences with `phrase`.
    PreferPhrase,
    /// Open with a sentence that carries a number.
    OpenWithNumber,
    /// Open with a question.
    OpenWithQuestion,
    /// At most `limit` hashtags.
    MaxHashtags,
}

/// Something to heed, in words and, where there is one, as a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Direction {
    /// What to do.
    pub text: String,
    /// The rule, if it has one.
    pub rule: Option<Rule>,
    /// The rule's number; 0 when it has none.
    pub limit: u32,
    /// The rule's phrase; empty when it has none.
    pub phrase: String,
}

/// A direction that was learned from an earlier text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lesson {
    /// `les_…`.
    pub lesson_id: String,
    /// What it asks for.
    pub direction: Direction,
}

impl Direction {
    /// A direction in words only.
    pub fn words(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The rule's number when the direction is of that rule.
    pub fn limit_of(&self, rule: Rule) -> Option<usize> {
        (self.rule == Some(rule) && self.limit > 0).then_some(self.limit as usize)
    }
}

/// The strictest number of a rule among the directions.
pub fn strictest(directions: &[Direction], rule: Rule) -> Option<usize> {
    directions.iter().filter_map(|d| d.limit_of(rule)).min()
}

/// True when any direction is of that rule.
pub fn asks_for(directions: &[Direction], rule: Rule) -> bool {
    directions.iter().any(|d| d.rule == Some(rule))
}

/// Lessons first, as the most lasting, then notes on the draft at hand.
pub fn merge(lessons: &[Lesson], notes: &[String]) -> Vec<Direction> {
    let lessons = lessons.iter().map(|lesson| lesson.direction.clone());
    let notes = notes.iter().map(|note| note.trim()).filter(|note| !note.is_empty()).map(Direction::words);
    lessons.chain(notes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lessons_come_before_notes_and_empty_notes_are_left_out() {
        let direction = Direction {
            text: "shorter".into(),
            rule: Some(Rule::MaxWords),
            limit: 80,
            ..Direction::default()
        };
        let lessons = [Lesson { lesson_id: "les_1".into(), direction: direction.clone() }];
        let merged = merge(&lessons, &["name the price".into(), "  ".into()]);
        assert_eq!(merged, [direction, Direction::words("name the price")]);
        assert_eq!(strictest(&merged, Rule::MaxWords), Some(80));
        assert_eq!(strictest(&merged, Rule::MaxHashtags), None);
        assert!(!asks_for(&merged, Rule::OpenWithNumber));
    }
}
