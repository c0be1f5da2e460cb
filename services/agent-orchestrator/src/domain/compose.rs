//! The final text: a draft with what is set around it. The draft's own sentences are kept as they are.
use copydesk_guard::text;

use super::direction::{Direction, Rule, asks_for, strictest};
use super::output::Finish;
use super::spec::ContentType;

/// The most hashtags under a post.
const MAX_HASHTAGS: usize = 5;
/// LinkedIn's limit for a post, in UTF-16 code units.
pub const MAX_POST_UNITS: usize = 3_000;

/// A text before its check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Composed {
    /// All of it.
    pub text: String,
    /// The hook that was set before the draft; empty when none was.
    pub hook: String,
    /// Hashtags with `#`.
    pub hashtags: Vec<String>,
}

/// Puts a draft and its finish together. Lessons bind here too: a hook that breaks one is left out.
pub fn compose(content: ContentType, draft: &str, finish: &Finish, directions: &[Direction]) -> Composed {
    let draft = draft.trim();
    let hashtags = hashtags(&finish.hashtags, directions);
    if content != ContentType::Social {
        return Composed { text: draft.to_owned(), hook: String::new(), hashtags };
    }
    let tail = if hashtags.is_empty() { String::new() } else { format!("\n\n{}", hashtags.join(" ")) };
    let hook = finish.hook.split_whitespace().collect::<Vec<_>>().join(" ");
    if !hook.is_empty() && hook_fits(&hook, draft, directions) {
        let text = format!("{hook}\n\n{draft}{tail}");
        if units(&text) <= MAX_POST_UNITS {
            return Composed { text, hook, hashtags };
        }
    }
    let body = shorten(draft, MAX_POST_UNITS.saturating_sub(units(&tail)));
    Composed { text: format!("{body}{tail}"), hook: String::new(), hashtags }
}

/// The title of an article: its first `# ` heading; empty when it has none.
pub fn title(text: &str) -> String {
    text.lines().find_map(|line| line.strip_prefix("# ")).map(|t| t.trim().to_owned()).unwrap_or_default()
}

/// A hook must say something new and break no lesson.
fn hook_fits(hook: &str, draft: &str, directions: &[Direction]) -> bool {
    let words = text::words(hook).len();
    let total = words + text::words(draft).len();
    let lower = hook.to_lowercase();
    let avoided = |d: &Direction| {
        d.rule == Some(Rule::AvoidPhrase) && !d.phrase.is_empty() && lower.contains(&d.phrase.to_lowercase())
    };
    !plain(draft).contains(&plain(hook))
        && strictest(directions, Rule::MaxWords).is_none_or(|limit| total <= limit)
        && strictest(directions, Rule::MaxSentenceWords).is_none_or(|limit| words <= limit)
        && (!asks_for(directions, Rule::OpenWithNumber) || hook.chars().any(|c| c.is_ascii_digit()))
        && (!asks_for(directions, Rule::OpenWithQuestion) || hook.ends_with('?'))
        && !directions.iter().any(avoided)
}

/// Letters and digits only, for telling whether two texts say the same words.
fn plain(text: &str) -> String {
    let kept =
        text.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect::<String>();
    format!(" {} ", kept.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn hashtags(raw: &[String], directions: &[Direction]) -> Vec<String> {
    let limit = strictest(directions, Rule::MaxHashtags).unwrap_or(MAX_HASHTAGS).min(MAX_HASHTAGS);
    let mut tags: Vec<String> = Vec::new();
    for word in raw {
        let tag: String = word.chars().filter(|c| c.is_alphanumeric() || *c == '_').collect();
        let known = tags.iter().any(|t| t[1..].eq_ignore_ascii_case(&tag));
        if !tag.is_empty() && !known && tags.len() < limit {
            tags.push(format!("#{tag}"));
        }
    }
    tags
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Drops whole sentences from the end until the text fits.
fn shorten(draft: &str, limit: usize) -> &str {
    if units(draft) <= limit {
        return draft;
    }
    let ends = text::sentences(draft).into_iter().map(|s| s.span.end).rev();
    ends.map(|end| draft[..end].trim_end()).find(|kept| units(kept) <= limit).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(hook: &str, tags: &[&str]) -> Finish {
        Finish {
            hook: hook.into(),
            hashtags: tags.iter().map(|t| (*t).into()).collect(),
            caption: String::new(),
        }
    }

    #[test]
    fn a_post_is_hook_draft_and_hashtags() {
        let made = compose(
            ContentType::Social,
            " Beans matter. \n",
            &finish("Stop  guessing.", &["#Coffee", "cold brew", "COFFEE"]),
            &[],
        );
        assert_eq!(made.text, "Stop guessing.\n\nBeans matter.\n\n#Coffee #coldbrew");
        assert_eq!((made.hook.as_str(), made.hashtags.len()), ("Stop guessing.", 2));
        let twice =
            compose(ContentType::Social, "Beans matter! So does water.", &finish("beans matter.", &[]), &[]);
        assert_eq!((twice.text.as_str(), twice.hook.as_str()), ("Beans matter! So does water.", ""));
    }

    #[test]
    fn an_article_stays_as_it_is() {
        let made = compose(ContentType::Blog, "Intro.\n# Brewing\nText.", &finish("Wow.", &["tea"]), &[]);
        assert_eq!(
            (made.text.as_str(), made.hashtags.as_slice()),
            ("Intro.\n# Brewing\nText.", &["#tea".to_owned()][..])
        );
        assert_eq!(title(&made.text), "Brewing");
        assert_eq!(title("no heading"), "");
    }

    #[test]
    fn lessons_bind_the_hook_and_the_hashtags() {
        let rule = |rule, limit, phrase: &str| Direction {
            rule: Some(rule),
            limit,
            phrase: phrase.into(),
            ..Direction::default()
        };
        let kept = |hook: &str, direction: Direction| {
            !compose(ContentType::Social, "Beans matter a lot.", &finish(hook, &[]), &[direction])
                .hook
                .is_empty()
        };
        assert!(kept("Why wait?", rule(Rule::MaxWords, 6, "")));
        assert!(!kept("Why wait at all?", rule(Rule::MaxWords, 6, "")));
        assert!(!kept("Why wait at all?", rule(Rule::MaxSentenceWords, 3, "")));
        assert!(!kept("Why wait?", rule(Rule::OpenWithNumber, 0, "")));
        assert!(kept("Why wait 3 days?", rule(Rule::OpenWithNumber, 0, "")));
        assert!(!kept("Wait.", rule(Rule::OpenWithQuestion, 0, "")));
        assert!(!kept("A Game Changer.", rule(Rule::AvoidPhrase, 0, "game changer")));
        let tags =
            compose(ContentType::Ad, "x", &finish("", &["a", "b", "c"]), &[rule(Rule::MaxHashtags, 2, "")])
                .hashtags;
        assert_eq!(tags, ["#a", "#b"]);
    }

    #[test]
    fn a_post_never_outgrows_the_platform() {
        let draft = "Ten words stand in this sentence about good cold coffee. ".repeat(80);
        let made = compose(ContentType::Social, &draft, &finish("Hook.", &["tea"]), &[]);
        assert!(units(&made.text) <= MAX_POST_UNITS);
        assert!(made.text.ends_with("coffee.\n\n#tea"), "whole sentences only");
        let endless = compose(ContentType::Social, &"ä".repeat(9_000), &finish("", &[]), &[]);
        assert!(units(&endless.text) <= MAX_POST_UNITS);
    }
}
