//! Patterns about how a text opens.

use super::clause::Clause;
use crate::domain::lesson::Rule;

// No gerunds: `opening with a question is dull` wishes for no question.
const OPEN: [&str; 4] = ["start", "open", "begin", "lead"];
const NUMBERS: [&str; 12] = [
    "number",
    "numbers",
    "figure",
    "figures",
    "statistic",
    "statistics",
    "stat",
    "stats",
    "percentage",
    "metric",
    "metrics",
    "digit",
];
const QUESTIONS: [&str; 2] = ["question", "questions"];

/// `start with a number`, `open with a question`. A negated wish names no opening and is no rule.
pub(super) fn rule(clause: &Clause) -> Option<Rule> {
    let open = clause.find(0, &OPEN)?;
    let with = clause.find(open, &["with", "on"]).filter(|at| at - open <= 3)?;
    if clause.negated(open) || clause.negated(with) || !clause.commanded(open) {
        return None;
    }
    let near = |words: &[&str]| clause.find(with, words).filter(|at| at - with <= 5);
    match (near(&NUMBERS), near(&QUESTIONS)) {
        (Some(number), Some(question)) if question < number => Some(Rule::OpenWithQuestion),
        (Some(_), _) => Some(Rule::OpenWithNumber),
        (None, Some(_)) => Some(Rule::OpenWithQuestion),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::clause::clauses;
    use super::*;

    #[test]
    fn openings() {
        for (sentence, expected) in [
            ("Start with a number", Some(Rule::OpenWithNumber)),
            ("please open the post with a striking figure", Some(Rule::OpenWithNumber)),
            ("You should lead with a statistic", Some(Rule::OpenWithNumber)),
            ("Begin with a question", Some(Rule::OpenWithQuestion)),
            ("I'd like you to open with a question about numbers", Some(Rule::OpenWithQuestion)),
            ("Could you open with a number", Some(Rule::OpenWithNumber)),
            ("Opening with a question is dull", None),
            ("Don't open with a question", None),
            ("You always start with a question", None),
            ("The drivers start with a number", None),
            ("Start with the customer", None),
            ("end with a question", None),
        ] {
            assert_eq!(rule(&clauses(sentence)[0]), expected, "{sentence}");
        }
    }
}
