//! Headings from documents: never who spoke, when, or under which number.
use copydesk_guard::text;
use copydesk_proto::types::v1::SourceKind;

use super::phrasing;

/// The longest heading, in characters.
const LONGEST: usize = 80;

/// What people are called for their work.
const ROLES: &str = "manager engineer developer mechanic dispatcher driver director officer owner founder cofounder ceo cto \
    cfo coo president analyst consultant technician editor author lead architect administrator auditor inspector buyer \
    assistant";

/// What numbered reports are called.
const TRACKED: &str = "issue issues ticket bug pr request gh defect incident";

const MONTHS: &str = "january february march april may june july august september october november december jan feb mar \
    apr jun jul aug sep sept oct nov dec";

/// The heading of a passage as a heading of ours. In an issue the headings name who speaks: none of them is taken.
pub(super) fn of_passage(heading: &str, kind: SourceKind) -> Option<String> {
    // Before it is read, because it is read once for every sentence under it.
    if heading.len() > LONGEST * 4 {
        return None;
    }
    let last = |part: &str| text::words(part).last().is_some_and(|word| listed(ROLES, &word.lower));
    (kind != SourceKind::Issue && !last(heading)).then(|| presentable(heading)).flatten()
}

/// The title of a document as a heading of ours, without the number of an issue.
pub(super) fn of_title(title: &str) -> Option<String> {
    if title.len() > LONGEST * 8 { None } else { presentable(unnumbered(title)) }
}

fn presentable(heading: &str) -> Option<String> {
    let plain = phrasing::plain(heading);
    let size = plain.chars().count();
    let fits = (1..=LONGEST).contains(&size) && plain.contains(char::is_alphabetic);
    (fits && !dated(&plain) && !numbered(heading) && !person(&plain)).then(|| phrasing::title(&plain))
}

/// `Issue 447: defrost cycles` without its number.
fn unnumbered(title: &str) -> &str {
    let parts = [": ", " - ", " – ", " — "].iter().find_map(|mark| title.split_once(mark));
    parts.filter(|(label, _)| numbered(label) || code(label)).map_or(title, |(_, rest)| rest.trim())
}

/// `FLEET-12` or `#447`.
fn code(label: &str) -> bool {
    let label = label.trim();
    let digits = label.trim_start_matches(|c: char| c.is_ascii_uppercase() || c == '-' || c == '#');
    digits.len() < label.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

/// `issue 447`, `PR #12`.
fn numbered(heading: &str) -> bool {
    let words: Vec<String> = text::words(heading).into_iter().map(|word| word.lower).collect();
    let digits = |word: &str| word.trim_start_matches('#').starts_with(|c: char| c.is_ascii_digit());
    words.windows(2).any(|pair| listed(TRACKED, &pair[0]) && digits(&pair[1]))
        || heading.split_whitespace().any(|word| word.starts_with('#') && digits(word))
}

/// A month beside a number, or a number with two separators: `8 July 2025`, `2025-07-08`.
fn dated(heading: &str) -> bool {
    let words: Vec<&str> = heading.split(|c: char| c.is_whitespace() || c == ',').collect();
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let digits = |word: &str| word.starts_with(|c: char| c.is_ascii_digit());
    let month = |word: &str| listed(MONTHS, &word.trim_matches(['.', '(', ')']).to_lowercase());
    let beside = words.windows(2).any(|p| month(p[0]) && digits(p[1]) || digits(p[0]) && month(p[1]));
    beside || words.iter().any(|word| compact_date(word))
}

/// Two or three numbers with one of `-`, `/` or `.` between them, one a year: `2025-07`, `08.07.2025`.
fn compact_date(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_digit());
    ['-', '/', '.'].into_iter().any(|mark| {
        let parts: Vec<&str> = word.split(mark).collect();
        let year = |part: &&str| part.len() == 4 && (part.starts_with("19") || part.starts_with("20"));
        let number = |part: &&str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        (2..=3).contains(&parts.len()) && parts.iter().all(number) && parts.iter().any(year)
    })
}

/// `Fleet manager, Corran Foods`: a part between commas ends with a role or begins with `Head of`.
fn person(heading: &str) -> bool {
    let role = |part: &str| {
        let words = text::words(part);
        let head = part.trim().to_lowercase().starts_with("head of ");
        head || words.last().is_some_and(|word| listed(ROLES, &word.lower))
    };
    heading.contains(',') && heading.split(',').any(role)
}

fn listed(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_role_no_date_no_number() {
        for bad in [
            "Fleet manager, Corran Foods, 8 July 2025",
            "Support engineer",
            "Interview with the CEO",
            "Ann Lee, head of sales",
            "Version 2.2, 12 June 2025",
            "Released on 2025-06-12",
            "08.07.2025",
            "May 2025",
            "Notes on issue 447",
            "Fixed in #12",
            "2025",
            "",
            &"A long heading ".repeat(30),
        ] {
            assert_eq!(of_passage(bad, SourceKind::Document), None, "{bad}");
        }
        assert_eq!(of_passage("Alerts", SourceKind::Issue), None);
        for good in ["The alert engine", "Driver app", "From 23 alerts per shift to 3.4", "Version 3.1"] {
            assert_eq!(of_passage(good, SourceKind::Document).as_deref(), Some(good));
        }
    }

    #[test]
    fn titles_lose_the_number_of_an_issue() {
        for (title, expected) in [
            ("Issue 447: defrost cycles raise alerts", Some("Defrost cycles raise alerts")),
            ("PR #12 - a faster planner", Some("A faster planner")),
            ("FLEET-12: wrong hour", Some("Wrong hour")),
            ("#12: wrong hour", Some("Wrong hour")),
            ("Issue 447", None),
            (
                "How Lindgrove saved 720 kilometres: a case",
                Some("How Lindgrove saved 720 kilometres: a case"),
            ),
        ] {
            assert_eq!(of_title(title).as_deref(), expected, "{title}");
        }
    }
}
