//! Field rules that several messages share. Every fault is collected, none stops the reading.

use copydesk_rpc::{Kind, ServiceError, Violations};
use copydesk_types::KnowledgeBaseId;

use crate::domain::outcome::ContentType;

/// The most knowledge bases of a brand.
const MOST_KNOWLEDGE_BASES: usize = 16;

/// Refuses the request when anything is wrong with it; else gives the values, which were all read then.
pub(super) fn all_read<T>(values: Option<T>, violations: Violations) -> Result<T, ServiceError> {
    violations.finish()?;
    values.ok_or_else(|| ServiceError::new(Kind::Internal, "INTERNAL", "internal error"))
}

/// A text of `min` to `max` characters, not blank when one is needed, that every database can keep.
pub(super) fn text(
    field: &str,
    value: String,
    min: usize,
    max: usize,
    violations: &mut Violations,
) -> String {
    if min > 0 && value.trim().is_empty() {
        violations.push(field, "must not be empty");
    } else {
        violations.length(field, &value, min, max);
    }
    violations.check(!value.contains('\0'), field, "must not contain the character U+0000");
    value
}

/// The caller's key of a creating call.
pub(super) fn request_id(value: String, violations: &mut Violations) -> String {
    text("request_id", value, 1, 128, violations)
}

/// A content type, or `None` for unspecified.
pub(super) fn content_type(field: &str, code: i32, violations: &mut Violations) -> Option<ContentType> {
    let known = ContentType::from_code(code);
    violations.check(known.is_some() || code == 0, field, "is not a known content type");
    known
}

/// A BCP 47 tag or nothing: subtags of letters and digits, the first of 2 to 8 letters, 35 characters at most.
pub(super) fn language(field: &str, value: String, violations: &mut Violations) -> String {
    let mut subtags = value.split('-');
    let primary = subtags.next().unwrap_or_default();
    let shaped = value.len() <= 35
        && (2..=8).contains(&primary.len())
        && primary.bytes().all(|b| b.is_ascii_alphabetic())
        && subtags.all(|tag| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()));
    violations.check(value.is_empty() || shaped, field, "is not a BCP 47 language tag such as en or de-AT");
    value
}

/// Up to 16 ids of knowledge bases, each once.
pub(super) fn knowledge_bases(
    field: &str,
    values: &[String],
    violations: &mut Violations,
) -> Vec<KnowledgeBaseId> {
    let most = format!("must name at most {MOST_KNOWLEDGE_BASES} knowledge bases, names {}", values.len());
    violations.check(values.len() <= MOST_KNOWLEDGE_BASES, field, most);
    let mut bases = Vec::new();
    // A list far beyond the limit has one fault, not thousands.
    for (at, value) in values.iter().take(MOST_KNOWLEDGE_BASES).enumerate() {
        let place = format!("{field}[{at}]");
        let Some(base) = violations.parse::<KnowledgeBaseId>(&place, value) else { continue };
        if bases.contains(&base) {
            violations.push(place, "is named twice");
        } else {
            bases.push(base);
        }
    }
    bases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        for (tag, good) in [
            ("", true),
            ("en", true),
            ("de-AT", true),
            ("zh-Hant-TW", true),
            ("e", false),
            ("en_US", false),
            ("en-", false),
        ] {
            let mut violations = Violations::new();
            language("language", tag.to_owned(), &mut violations);
            assert_eq!(violations.is_empty(), good, "{tag}");
        }
    }

    #[test]
    fn texts_that_no_database_keeps_are_refused() {
        for (value, min, good) in
            [("a", 1, true), (" ", 1, false), ("", 0, true), ("a\0", 0, false), ("abcd", 0, false)]
        {
            let mut violations = Violations::new();
            text("name", value.to_owned(), min, 3, &mut violations);
            assert_eq!(violations.is_empty(), good, "{value:?}");
        }
    }
}
