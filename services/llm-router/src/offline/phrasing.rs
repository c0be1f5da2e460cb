//! The few words that are not quoted: titles and questions, made of the topic alone.
use copydesk_guard::contain;

use super::topic;

/// The longest topic that is put into a question, in characters.
const LONGEST: usize = 120;

/// A question that fits every topic.
const NEUTRAL: &str = "What would change for you?";

/// A topic or question of somebody's as one line of plain words, 400 characters at most.
pub(super) fn plain(text: &str) -> String {
    let clean = contain::clean(text);
    let words: Vec<&str> = clean.split_whitespace().collect();
    let line = words.join(" ").replace(['#', '*', '`', '<', '>', '|', '[', ']'], "");
    line.trim().trim_end_matches(['.', ':', ';', ',']).chars().take(400).collect()
}

/// The topic as a title.
pub(super) fn title(topic: &str) -> String {
    let mut letters = topic.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => "What the evidence says".to_owned(),
    }
}

/// The question that ends a text: only about a topic of which one can be made that reads well.
pub(super) fn closing(topic: &str) -> Option<String> {
    let fits = topic.chars().count() <= LONGEST && topic::is_noun_phrase(topic);
    fits.then(|| format!("How do you handle {}?", uncapitalised(topic)))
}

/// Questions that may open a text where one must, the best first.
pub(super) fn opening(topic: &str) -> Vec<String> {
    closing(topic).into_iter().chain([NEUTRAL.to_owned()]).collect()
}

/// In the middle of a sentence a topic begins small, unless its first word looks like a name or an abbreviation.
fn uncapitalised(topic: &str) -> String {
    let first = topic.split(' ').next().unwrap_or_default();
    let small: String = first.chars().flat_map(char::to_lowercase).collect();
    let shouted = first.chars().skip(1).any(char::is_uppercase);
    // A title case phrase ("Graded Alerts") is kept: only the second word tells a name from a sentence's first word.
    let second = topic.split(' ').nth(1).unwrap_or("a");
    if shouted || second.starts_with(char::is_uppercase) || topic.split(' ').count() < 2 {
        return topic.to_owned();
    }
    format!("{small}{}", &topic[first.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_noun_phrases_become_questions() {
        for (topic, expected) in [
            ("API limits for small fleets", Some("How do you handle API limits for small fleets?")),
            ("Route planning for vans", Some("How do you handle route planning for vans?")),
            ("Graded Alerts", Some("How do you handle Graded Alerts?")),
            ("temperature alerts that drivers do not ignore", None),
            ("How to place sensors", None),
            ("what does it cost?", None),
            ("", None),
        ] {
            assert_eq!(closing(topic).as_deref(), expected, "{topic}");
        }
        assert_eq!(closing(&"x".repeat(200)), None);
        assert_eq!(opening("How to place sensors"), [NEUTRAL]);
    }

    #[test]
    fn a_topic_is_one_plain_line() {
        assert_eq!(plain("  # Cold\n\nchain * rules. "), "Cold chain  rules");
        assert_eq!(title("éclair vans"), "Éclair vans");
    }
}
