//! All faults of a request, collected before it is refused.
use std::fmt::Display;
use std::str::FromStr;

use crate::ServiceError;

/// Collects field violations; [`finish`](Self::finish) turns them into one INVALID_ARGUMENT that names them all.
#[derive(Debug, Default)]
pub struct Violations(Vec<(String, String)>);

impl Violations {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fault. `field` is the path as the caller wrote it, for example `spec.topic` or `messages[2].role`.
    pub fn push(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push((field.into(), description.into()));
    }

    /// Adds a fault unless `ok`.
    pub fn check(&mut self, ok: bool, field: impl Into<String>, description: impl Into<String>) {
        if !ok {
            self.push(field, description);
        }
    }

    /// Parses a text, adding its error as a fault. The error's words follow the field's name: "is not an id …".
    pub fn parse<T>(&mut self, field: &str, text: &str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        text.parse().map_err(|e: T::Err| self.push(field, e.to_string())).ok()
    }

    /// Adds a fault unless the text has `min` to `max` characters.
    pub fn length(&mut self, field: &str, text: &str, min: usize, max: usize) {
        let count = text.chars().count();
        if count < min && min == 1 {
            self.push(field, "must not be empty");
        } else {
            self.check(
                (min..=max).contains(&count),
                field,
                format!("must have {min} to {max} characters, has {count}"),
            );
        }
    }

    /// True while nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Ok, or one error that names every fault.
    pub fn finish(self) -> Result<(), ServiceError> {
        if self.0.is_empty() { Ok(()) } else { Err(ServiceError::invalid(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copydesk_types::RunId;
    use tonic_types::StatusExt;

    #[test]
    fn names_every_fault_at_once() {
        let mut v = Violations::new();
        v.length("topic", "", 1, 2_000);
        v.length("name", "abc", 1, 2);
        assert_eq!(v.parse::<RunId>("run_id", "nonsense"), None);
        v.check(true, "fine", "never said");
        let status: tonic::Status = v.finish().expect_err("three faults").into();
        let details = status.get_error_details();
        let fields: Vec<_> = details
            .bad_request()
            .map(|b| b.field_violations.iter().map(|f| f.field.clone()).collect())
            .unwrap_or_default();
        assert_eq!(fields, ["topic", "name", "run_id"]);
        assert_eq!(status.message(), "invalid fields: topic, name, run_id");
    }
}
