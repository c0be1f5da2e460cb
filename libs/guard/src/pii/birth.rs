//! Dates that the words before them call a birthday.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::{pattern, spans};

static BORN: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(concat!(
        r"(?i)\b(?:born|date of birth|birth ?date|birthday|d\.?o\.?b\.?|geboren|geb\.|geburtsdatum|geburtstag|né|née|nacid[oa])",
        r"(?:\s+(?:on|is|was|am|in|the|le|el))?\s*[:=,(]?\s*",
        r"(\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}",
        r"|\d{1,2}(?:st|nd|rd|th|\.)?\s+(?:of\s+)?\p{L}{3,10}\.?,?\s+\d{4}",
        r"|\p{L}{3,10}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4})\b",
    ))
});

/// Dates of birth.
pub(super) fn dates(text: &str) -> Vec<Range<usize>> {
    spans(BORN.as_ref(), text).collect()
}
