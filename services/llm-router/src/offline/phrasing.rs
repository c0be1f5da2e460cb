//! The few words that are not quoted: titles and questions, made of the topic alone.
use copydesk_guard::contain;

/// The longest topic that is put into a question, in characters.
const LONGEST: usize = 120;

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

/// Questions about the topic, the best first; each says less than the one before it, so that one passes every rule.
pub(super) fn questions(topic: &str) -> Vec<String> {
    let mut found = Vec::new();
    let short = topic.trim_end_matches('?');
    if !short.is_empty() && short.chars().count() <= LONGEST {
        found.push(question(topic, short));
    }
    found.push("How do you handle it?".to_owned());
    found
}

fn question(topic: &str, short: &str) -> String {
    if topic.ends_with('?') {
        return title(topic);
    }
    let lower = uncapitalised(short);
    let first = lower.split(' ').next().unwrap_or_default().to_owned();
    match first.as_str() {
        "how" if lower.starts_with("how to ") => format!("How do you {}?", &lower["how to ".len()..]),
        "how" | "why" | "what" | "when" | "where" | "who" | "which" | "whether" => {
            format!("Have you worked out {lower}?")
        }
        _ => format!("How do you handle {lower}?"),
    }
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
    fn topics_become_questions() {
        for (topic, expected) in [
            (
                "temperature alerts that drivers do not ignore",
                "How do you handle temperature alerts that drivers do not ignore?",
            ),
            ("How to place sensors", "How do you place sensors?"),
            ("Why drivers ignore alerts", "Have you worked out why drivers ignore alerts?"),
            ("what does it cost?", "What does it cost?"),
            ("API limits for small fleets", "How do you handle API limits for small fleets?"),
            ("Chillwright", "How do you handle Chillwright?"),
            ("Route planning for vans", "How do you handle route planning for vans?"),
        ] {
            assert_eq!(questions(topic)[0], expected);
        }
        assert_eq!(questions("").len(), 1);
        assert_eq!(questions(&"long ".repeat(50)).len(), 1);
    }

    #[test]
    fn a_topic_is_one_plain_line() {
        assert_eq!(plain("  # Cold\n\nchain * rules. "), "Cold chain  rules");
        assert_eq!(title("éclair vans"), "Éclair vans");
    }
}
