//! The parts of a text that readers read as sentences, and its hashtags.

use copydesk_guard::text;

/// The text without the YAML front matter at its head.
pub fn without_front_matter(text: &str) -> &str {
    let body = text.trim_start_matches('\u{feff}');
    let mut lines = body.split_inclusive('\n');
    if lines.next().is_none_or(|first| first.trim_end() != "---") {
        return body;
    }
    let mut at = body.find('\n').map_or(body.len(), |i| i + 1);
    for line in lines {
        at += line.len();
        if matches!(line.trim_end(), "---" | "...") {
            return &body[at..];
        }
    }
    // Never closed: a rule at the head of a text, not front matter.
    body
}

/// The paragraphs of running text: no front matter, no headings, no code blocks, no lines of hashtags alone.
pub fn paragraphs(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current = String::new();
    let mut in_code = false;
    for line in without_front_matter(text).lines() {
        let trimmed = line.trim();
        let fence = trimmed.starts_with("```") || trimmed.starts_with("~~~");
        in_code ^= fence;
        let other = in_code || fence || is_heading(trimmed) || is_hashtag_line(trimmed);
        if !other && !trimmed.is_empty() {
            current.push_str(trimmed);
            current.push('\n');
        } else if !current.is_empty() {
            found.push(std::mem::take(&mut current));
        }
    }
    if !current.is_empty() {
        found.push(current);
    }
    found
}

/// The first sentence of the running text; empty when there is none.
pub fn opening(text: &str) -> String {
    let first =
        |paragraph: &String| text::sentences(paragraph).first().map(|s| paragraph[s.span.clone()].to_owned());
    paragraphs(text).iter().find_map(first).unwrap_or_default()
}

/// True for a sentence that ends with a question mark, closing quotes and brackets aside.
pub fn is_question(sentence: &str) -> bool {
    let closers = |c: char| c.is_whitespace() || "\"')]}»”’*_`!".contains(c);
    sentence.trim_end_matches(closers).ends_with(['?', '？'])
}

/// True when a word of the sentence has a digit.
pub fn carries_number(sentence: &str) -> bool {
    sentence.chars().any(|c| c.is_ascii_digit())
}

/// How many hashtags a text has: a `#` at the start of a word with a letter somewhere behind it.
pub fn hashtags(text: &str) -> usize {
    without_front_matter(text).split_whitespace().filter(|word| is_hashtag(word)).count()
}

fn is_hashtag(word: &str) -> bool {
    let tag = word.trim_start_matches(['(', '[', '"', '“']).strip_prefix('#');
    tag.is_some_and(|tag| {
        let name: String = tag.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        name.chars().any(char::is_alphabetic)
    })
}

fn is_hashtag_line(line: &str) -> bool {
    !line.is_empty() && line.split_whitespace().all(is_hashtag)
}

fn is_heading(line: &str) -> bool {
    let rest = line.trim_start_matches('#');
    rest.len() < line.len() && (rest.is_empty() || rest.starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn front_matter_is_cut_off() {
        assert_eq!(without_front_matter("---\ntitle: A\n---\nBody."), "Body.");
        assert_eq!(without_front_matter("---\r\ntitle: A\r\n---\r\nBody."), "Body.");
        assert_eq!(without_front_matter("---\nnever closed"), "---\nnever closed");
        assert_eq!(without_front_matter("Body\n---\nmore"), "Body\n---\nmore");
        assert_eq!(without_front_matter("---"), "---");
    }

    #[test]
    fn paragraphs_are_running_text() {
        let text = "---\na: b\n---\n# Title\n\nOne. Two.\nThree.\n\n```rust\nlet x = 1;\n```\nFour?\n\n#Cold #Chain\n";
        assert_eq!(paragraphs(text), ["One. Two.\nThree.\n", "Four?\n"]);
        assert_eq!(opening(text), "One.");
        assert_eq!(opening("#Only #Tags"), "");
    }

    #[test]
    fn hashtags_are_words_with_a_letter() {
        assert_eq!(hashtags("# Title\nC# is #1, but (#Rust) and #cold_chain are tags. #ÄÖ"), 3);
        assert!(is_question("Why (\"really?\")") && !is_question("Why? Because."));
        assert!(carries_number("By 45 %") && !carries_number("By half"));
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            paragraphs(&text);
            opening(&text);
            hashtags(&text);
        }
    }
}
