//! An error as it travels: a status whose parts are cut so that the whole fits the headers of every peer.
use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::{DOMAIN, Kind, ServiceError};

// In bytes. A status over 16 KiB arrives as a broken stream, and 8 KiB is what other languages take. Encoded a message
// is there twice, up to three times as long and a third longer; details are a third longer.
pub(crate) const MAX_MESSAGE: usize = 768;
const MAX_REASON: usize = 64;
const MAX_METADATA: usize = 512;
const MAX_FIELD: usize = 128;
const MAX_DESCRIPTION: usize = 240;
const MAX_NAME: usize = 256;
const MAX_VIOLATIONS: usize = 32;
const MAX_ALL_VIOLATIONS: usize = 2_400;

impl ServiceError {
    /// The status without logging anything.
    pub(crate) fn to_status(&self) -> Status {
        let inner = &self.0;
        let mut details = ErrorDetails::new();
        details.set_error_info(clip(&inner.reason, MAX_REASON), DOMAIN, self.metadata());
        if !inner.violations.is_empty() {
            details.set_bad_request(self.violations());
        }
        if inner.retry_after.is_some() {
            details.set_retry_info(inner.retry_after);
        }
        if let Some((subject, description)) = &inner.quota {
            details.add_quota_failure_violation(clip(subject, MAX_FIELD), clip(description, MAX_DESCRIPTION));
        }
        if let Some((resource_type, name)) = &inner.resource {
            details.set_resource_info(*resource_type, clip(name, MAX_NAME), "", "");
        }
        if let Some(trace) = (inner.kind == Kind::Internal).then(crate::current_trace_id).flatten() {
            details.set_request_info(trace, "");
        }
        Status::with_error_details(inner.kind.code(), clip(&inner.message, MAX_MESSAGE), details)
    }

    /// The first faults, as many as fit; the message says how many there are.
    fn violations(&self) -> Vec<FieldViolation> {
        let mut left = MAX_ALL_VIOLATIONS;
        let all = self.0.violations.iter().take(MAX_VIOLATIONS);
        all.map(|(field, words)| (clip(field, MAX_FIELD), clip(words, MAX_DESCRIPTION)))
            .map_while(|(field, words)| {
                left = left.checked_sub(field.len() + words.len() + 8)?;
                Some(FieldViolation::new(field, words))
            })
            .collect()
    }

    /// The pairs in alphabetical order, as many as fit; a value that is too long alone is clipped.
    fn metadata(&self) -> HashMap<String, String> {
        let mut pairs: Vec<_> = self.0.metadata.iter().collect();
        pairs.sort();
        let mut left = MAX_METADATA;
        let fitting = pairs.into_iter().map_while(|(key, value)| {
            let value = clip(value, MAX_NAME);
            left = left.checked_sub(key.len() + value.len() + 8)?;
            Some((key.clone(), value))
        });
        fitting.collect()
    }
}

pub(crate) fn clip(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max - 3)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_outgrows_the_headers() {
        let violations = (0..500).map(|i| (format!("field[{i}]"), "é".repeat(4_000))).collect();
        let status: Status = ServiceError::invalid(violations).into();
        assert!(status.message().len() + status.details().len() < 5_000, "{}", status.details().len());
    }
}
