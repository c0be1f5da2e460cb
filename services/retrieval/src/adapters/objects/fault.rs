//! What a failure of the `object_store` crate means for whoever asked.

use object_store::Error;

use crate::ports::ObjectError;

/// Sorts a failure: absent, refused for good, or for now. What the crate says of a server's answer is text; of a server's
/// own words only its error code is kept, because the rest may name keys.
pub(super) fn told(error: Error) -> ObjectError {
    let text = error.to_string();
    let code = between(&text, "<Code>", "</Code>").unwrap_or_default().to_owned();
    let refused = |what: &str| match code.as_str() {
        "" => ObjectError::Refused(what.to_owned()),
        code => ObjectError::Refused(format!("{what} ({code})")),
    };
    match error {
        Error::NotFound { .. } if code == "NoSuchBucket" => refused("the bucket is not there"),
        Error::NotFound { .. } => ObjectError::Absent,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => refused("the keys are refused"),
        Error::Generic { .. } => match between(&text, "non-2xx status code: ", " ") {
            Some(status) if status.starts_with('4') && !["408", "409", "429"].contains(&status) => {
                refused(&format!("the server answers {status}"))
            }
            Some(status) => ObjectError::Unavailable(format!("the server answers {status} ({code})")),
            None if text.contains("without LOCATION") => {
                refused("the server sends elsewhere; is the region right?")
            }
            None => ObjectError::Unavailable(text),
        },
        _ => ObjectError::Refused(text),
    }
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(found, _)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> ObjectError {
        told(Error::Generic { store: "S3", source: text.to_owned().into() })
    }

    #[test]
    fn an_answer_is_sorted_and_its_words_are_not_kept() {
        let body = "Server returned non-2xx status code: 400 Bad Request: <Error><Code>InvalidArgument</Code>\
            <AWSAccessKeyId>AKIA</AWSAccessKeyId></Error>";
        let refused = generic(body);
        assert_eq!(refused.to_string(), "the server answers 400 (InvalidArgument)");
        assert!(matches!(refused, ObjectError::Refused(_)));
        let busy =
            generic("Server returned non-2xx status code: 503 X: <Error><Code>SlowDown</Code></Error>");
        assert!(matches!(busy, ObjectError::Unavailable(ref text) if text.contains("SlowDown")), "{busy:?}");
        assert!(matches!(generic("HTTP error: no answer in time"), ObjectError::Unavailable(_)));
        let absent = |text: &str| told(Error::NotFound { path: "x".into(), source: text.to_owned().into() });
        assert!(matches!(absent("<Code>NoSuchKey</Code>"), ObjectError::Absent));
        assert!(matches!(absent("<Code>NoSuchBucket</Code>"), ObjectError::Refused(_)));
    }
}
