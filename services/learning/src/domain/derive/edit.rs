//! What an edit shows: what a person took out, shortened or put at the head, by comparing the two texts word by word.

use std::ops::Range;

use copydesk_guard::{contain, text};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use crate::domain::lesson::{Proposal, Rule, Wish};
use crate::domain::prose;

/// The most phrases that one edit bans.
const MOST_PHRASES: usize = 2;
/// The most words of a phrase.
const MOST_WORDS: usize = 3;
/// The share of a sentence's words that must be left for it to have survived.
const SURVIVAL: f64 = 0.6;
/// Longer texts are not compared word by word: the comparison is quadratic at worst.
const MOST_COMPARED: usize = 6_000;

/// The wishes of an edit, the plainest first. Nothing when there was no text, or nothing changed. Its limits are
/// those of the text that the person left, who named none.
pub(super) fn wishes(before: &str, after: &str) -> Vec<Wish> {
    let (before, after) = (prose::without_front_matter(before), prose::without_front_matter(after));
    if before.trim().is_empty() || after.trim().is_empty() {
        return Vec::new();
    }
    let said = |rule| Wish::said(Proposal::of(rule));
    let length = shortened(before, after).map(Wish::measured);
    length
        .into_iter()
        .chain(reopened(before, after).map(said))
        .chain(fewer_hashtags(before, after).map(Wish::measured))
        .chain(removed(before, after).into_iter().map(Rule::AvoidPhrase).map(said))
        .collect()
}

/// At least 15 % shorter: the length that the person left, rounded up to ten so that the edit itself complies.
fn shortened(before: &str, after: &str) -> Option<Rule> {
    let (old, new) = (text::words(before).len(), text::words(after).len());
    let limit = new.div_ceil(10) * 10;
    let shorter = new > 0 && new * 100 <= old * 85 && limit < old;
    shorter.then(|| u32::try_from(limit).ok()).flatten().map(Rule::MaxWords)
}

/// A new opening with a question or a number that the old one did not have. A question says more: numbers also get
/// into openings by chance.
fn reopened(before: &str, after: &str) -> Option<Rule> {
    let (old, new) = (prose::opening(before), prose::opening(after));
    if prose::is_question(&new) && !prose::is_question(&old) {
        return Some(Rule::OpenWithQuestion);
    }
    (prose::carries_number(&new) && !prose::carries_number(&old)).then_some(Rule::OpenWithNumber)
}

fn fewer_hashtags(before: &str, after: &str) -> Option<Rule> {
    let (old, new) = (prose::hashtags(before), prose::hashtags(after));
    (new < old).then(|| u32::try_from(new).ok()).flatten().map(Rule::MaxHashtags)
}

/// A run of words that the edit took out.
struct Removal {
    phrase: String,
    times: usize,
}

/// The phrases that were taken out of sentences that stayed, the most frequent first, then in order of place.
fn removed(before: &str, after: &str) -> Vec<String> {
    let (old_words, new_words) = (text::words(before), text::words(after));
    if old_words.len().max(new_words.len()) > MOST_COMPARED {
        return Vec::new();
    }
    let old: Vec<&str> = old_words.iter().map(|word| word.lower.as_str()).collect();
    let new: Vec<&str> = new_words.iter().map(|word| word.lower.as_str()).collect();
    let ops = capture_diff_slices(Algorithm::Myers, &old, &new);
    let kept = kept(&ops, old.len());
    let mut found: Vec<Removal> = Vec::new();
    for sentence in text::sentences(before) {
        let range = words_in(&old_words, &sentence.span);
        let stayed = range.clone().filter(|at| kept[*at]).count();
        if (stayed as f64) < SURVIVAL * range.len() as f64 {
            continue;
        }
        for (gone, instead) in gone_in(&ops, &range) {
            let Some(phrase) = phrase(&old[gone], &new[instead], &new) else { continue };
            match found.iter_mut().find(|removal| removal.phrase == phrase) {
                Some(removal) => removal.times += 1,
                None => found.push(Removal { phrase, times: 1 }),
            }
        }
    }
    found.sort_by_key(|removal| std::cmp::Reverse(removal.times));
    found.into_iter().take(MOST_PHRASES).map(|removal| removal.phrase).collect()
}

/// For every old word whether the edit kept it.
fn kept(ops: &[DiffOp], words: usize) -> Vec<bool> {
    let mut kept = vec![false; words];
    for op in ops {
        if let DiffOp::Equal { old_index, len, .. } = op {
            kept[*old_index..old_index + len].fill(true);
        }
    }
    kept
}

fn words_in(words: &[text::Word], span: &Range<usize>) -> Range<usize> {
    let start = words.partition_point(|word| word.span.start < span.start);
    let end = words.partition_point(|word| word.span.start < span.end);
    start..end.max(start)
}

/// The runs of old words inside the sentence that were taken out, each with the new words in its place.
fn gone_in(ops: &[DiffOp], sentence: &Range<usize>) -> Vec<(Range<usize>, Range<usize>)> {
    let runs = ops.iter().filter_map(|op| match op {
        DiffOp::Delete { old_index, old_len, new_index } => {
            Some((*old_index..old_index + old_len, *new_index..*new_index))
        }
        DiffOp::Replace { old_index, old_len, new_index, new_len } => {
            Some((*old_index..old_index + old_len, *new_index..new_index + new_len))
        }
        _ => None,
    });
    runs.filter(|(old, _)| sentence.start <= old.start && old.end <= sentence.end).collect()
}

/// The words that were taken out as a phrase to avoid: one to three words without grammar at the ends, no figures
/// (a corrected figure is no matter of taste), nowhere left in the edit, and not just spelt better.
fn phrase(gone: &[&str], instead: &[&str], edit: &[&str]) -> Option<String> {
    let first = gone.iter().position(|word| !text::is_stop_word(word))?;
    let last = gone.iter().rposition(|word| !text::is_stop_word(word))?;
    let words = &gone[first..=last];
    let figures = words.iter().any(|word| word.contains(|c: char| c.is_ascii_digit()));
    let respelt =
        instead.len() == gone.len() && words.iter().all(|old| instead.iter().any(|new| is_respelt(old, new)));
    if words.len() > MOST_WORDS || figures || respelt || occurs(words, edit) {
        return None;
    }
    let phrase = words.join(" ");
    contain::suspicious_lines(&phrase).is_empty().then_some(phrase)
}

/// Whether the edit still has the words in a row, in whatever form (`improve`, `improved`).
fn occurs(words: &[&str], edit: &[&str]) -> bool {
    let stems: Vec<String> = words.iter().map(|word| text::stem(word)).collect();
    edit.windows(words.len()).any(|row| row.iter().zip(&stems).all(|(word, stem)| text::stem(word) == *stem))
}

/// Whether one word is the other but for two letters at most and a third of its length.
fn is_respelt(old: &str, new: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let allowed = 2.min(a.len().max(b.len()) / 3);
    // A word of any length beside one of three more letters is another word; no need to compare them.
    a.len().abs_diff(b.len()) <= allowed && a.len().max(b.len()) <= 40 && distance(&a, &b) <= allowed
}

fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> Vec<Rule> {
        wishes(before, after).into_iter().filter_map(|wish| wish.asks.rule).collect()
    }

    #[test]
    fn what_the_person_took_out_is_avoided() {
        let before =
            "Our revolutionary alarm warns the driver in time. The revolutionary board shows every van.";
        let after = "Our alarm warns the driver in time. The board shows every van.";
        assert_eq!(shown(before, after), [Rule::AvoidPhrase("revolutionary".into())]);
        let rest = "Vans stay cold all day and every load arrives just as it left the yard. ".repeat(4);
        let before =
            format!("The alarm is truly best in class and warns the driver in time, day and night. {rest}");
        let after = format!("The alarm warns the driver in time, day and night. {rest}");
        assert_eq!(shown(&before, &after), [], "four words in a row are a rewrite, not a phrase");
    }

    #[test]
    fn corrections_are_no_matter_of_taste() {
        for (before, after) in [
            (
                "The alarm warns the driver after 45 seconds every time.",
                "The alarm warns the driver after 54 seconds every time.",
            ),
            (
                "The alrams warn the driver in time, day and night.",
                "The alarms warn the driver in time, day and night.",
            ),
            (
                "The alarm improves safety for the driver every day.",
                "The alarm improved safety for the driver every day.",
            ),
            ("The alarm warns the driver in time.", "The alarm warns the driver in time."),
            ("The alarm and the board help.", "The board and the alarm help."),
            ("", "A new text."),
            ("A text.", ""),
        ] {
            assert_eq!(shown(before, after), [], "{before}");
        }
    }

    #[test]
    fn a_rewritten_sentence_bans_nothing() {
        let before = "Temperature monitoring empowers logistics stakeholders. Vans stay cold.";
        let after = "You see each load on one board now. Vans stay cold.";
        assert_eq!(shown(before, after), []);
    }

    #[test]
    fn shorter_and_fewer() {
        let before = format!("{}\n\n#Cold #Chain #Vans", "We keep it cold every day. ".repeat(10));
        let after = format!("{}\n\n#Cold", "We keep it cold every day. ".repeat(7));
        assert_eq!(shown(&before, &after), [Rule::MaxWords(50), Rule::MaxHashtags(1)]);
        let barely = "We keep it cold every day. ".repeat(9);
        assert_eq!(shown(&"We keep it cold every day. ".repeat(10), &barely), [], "10 % is not enough");
    }

    #[test]
    fn openings() {
        let rest = "Vans stay cold all day. Drivers see the board. The board shows the time left.";
        assert_eq!(
            shown(&format!("We are proud. {rest}"), &format!("Is it cold? {rest}")),
            [Rule::OpenWithQuestion]
        );
        assert_eq!(
            shown(&format!("We are proud. {rest}"), &format!("It is 4 degrees. {rest}")),
            [Rule::OpenWithNumber]
        );
        assert_eq!(shown(&format!("It is 5 degrees. {rest}"), &format!("It is 4 degrees. {rest}")), []);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("kitten", "sitting", 3), ("", "ab", 2), ("same", "same", 0), ("alrams", "alarms", 2)]
        {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            assert_eq!(distance(&a, &b), expected);
        }
    }
}
