//! Words that lean on the day of writing or on a text around them: "last week", "the other two", "each period".

/// Words that mean another day on another day.
const DATED: &str = "yesterday today tomorrow tonight now nowadays ago recently currently lately presently";

/// What goes before a stretch of time to count it from the day of writing.
const COUNTING: &str = "last next this past previous coming";

/// Stretches of time. "The next day" is told from a day in the text, so a day is not here.
const STRETCHES: &str = "week weeks weekend month months quarter quarters year years season spring summer autumn winter \
    monday tuesday wednesday thursday friday saturday sunday january february march april may june july august \
    september october november december";

/// Parts of a day: "this morning", but not "the next morning".
const PARTS: &str = "day morning afternoon evening night";

/// What must have been told before: "each period", "in both groups".
const TOLD: &str = "period periods phase phases round rounds group groups";

/// Words that point at what was told.
const POINTING: &str = "each both either the that these those";

/// Whether a sentence, as its lower-case words, is only understood beside its date or its neighbours.
pub(super) fn leans(words: &[String]) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        let next = words.get(at + 1).map(String::as_str).unwrap_or_default();
        listed(DATED, word)
            || listed(COUNTING, word) && listed(STRETCHES, next)
            || word == "this" && listed(PARTS, next)
            || word == "last" && next == "night"
            || word == "such" && next != "as"
            || listed(POINTING, word) && listed(TOLD, next) && words.get(at + 2).is_none_or(|w| w != "of")
            || word == "the" && matches!(next, "other" | "others") && !words[..at].iter().any(|w| w == "one")
            || matches!((word.as_str(), next), ("so", "far") | ("back", "then") | ("by", "then"))
    })
}

fn listed(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(sentence: &str) -> Vec<String> {
        sentence.trim_end_matches('.').to_lowercase().split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn leaning_sentences() {
        for bad in [
            "Drivers muted the phone again last week.",
            "Drivers answered all alerts this month.",
            "A van now raises three alerts per shift.",
            "The release came two weeks ago.",
            "At such a stop the probe reads warm air.",
            "Drivers answered more alerts than in the other two.",
            "Drivers counted the alerts in each period.",
            "Nine vans broke down this morning.",
        ] {
            assert!(leans(&words(bad)), "{bad}");
        }
        for good in [
            "Tools such as probes need a battery.",
            "One van was cold and the other van was warm.",
            "The period of cooling takes nine minutes.",
            "Planning the next day takes 12 minutes.",
            "The planner uses the median of the last 20 visits.",
            "Fleets report every week of a year.",
        ] {
            assert!(!leans(&words(good)), "{good}");
        }
    }
}
