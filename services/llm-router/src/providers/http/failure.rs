//! What went wrong, from a status, an error body or a reply that makes no sense.
use std::time::SystemTime;

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::Value;

use super::said::said;
use super::{Reply, wait};
use crate::domain::Outcome;
use crate::providers::ProviderError;
use crate::providers::lines::LineError;

/// The most of an error reply that is read, in bytes.
const ERROR_LIMIT: usize = 64 << 10;

/// What a status says. 400, 413 and 422 blame the request itself: no other model is asked to swallow it. 402 is an
/// account without money, which time does not mend.
fn outcome_of(status: u16) -> Outcome {
    match status {
        400 | 413 | 422 => Outcome::RefusedInput,
        401..=403 => Outcome::Auth,
        404 => Outcome::NotFound,
        408 | 504 => Outcome::Timeout,
        429 => Outcome::RateLimited,
        _ => Outcome::ProviderError,
    }
}

/// No reply at all.
pub(super) fn unsent(error: hyper_util::client::legacy::Error) -> ProviderError {
    let detail = if error.is_connect() { "no connection" } else { "the connection broke before a reply" };
    ProviderError::new(Outcome::Unreachable, detail).with_source(error)
}

/// An address that cannot be asked.
pub(super) fn unaddressable(error: http::uri::InvalidUri) -> ProviderError {
    ProviderError::new(Outcome::Unreachable, "no address").with_source(error)
}

/// A reply with a status that is no success.
pub(super) async fn of_status(reply: Reply) -> ProviderError {
    let status = reply.status();
    let limited = status == StatusCode::TOO_MANY_REQUESTS;
    let wait = wait::retry_after(reply.headers(), SystemTime::now());
    let reset = if limited { wait::limit_reset(reply.headers()) } else { None };
    let body = super::read(reply, ERROR_LIMIT).await.unwrap_or_default();
    let said = serde_json::from_slice::<Value>(&body).map(|body| said(&body)).unwrap_or_default();
    let outcome = said.telling().unwrap_or_else(|| outcome_of(status.as_u16()));
    let word = said.words.first().map(|word| format!(" {word}")).unwrap_or_default();
    let detail = if said.is_out_of_money() {
        "insufficient_quota".to_owned()
    } else {
        format!("HTTP {}{word}", status.as_u16())
    };
    ProviderError {
        // An account without money does not mend in a minute, whatever the header says.
        retry_after: wait.or(said.retry_after).or(reset).filter(|_| outcome != Outcome::Auth),
        message: said.message,
        ..ProviderError::new(outcome, detail).with_status(status.as_u16())
    }
}

/// An error inside a reply or a stream that began well. `body` is the object that holds `error`, or what it holds.
pub fn of_event(body: &Value) -> ProviderError {
    let said = said(body);
    let by_word = || said.words.iter().find_map(|word| outcome_of_word(word));
    let by_code = || said.code.map(outcome_of);
    let outcome = said.telling().or_else(by_word).or_else(by_code).unwrap_or(Outcome::ProviderError);
    let detail = match said.words.into_iter().next() {
        Some(word) => word,
        None => said.code.map_or_else(|| "error event".to_owned(), |code| format!("error event {code}")),
    };
    let message = said.message;
    ProviderError { retry_after: said.retry_after, message, ..ProviderError::new(outcome, detail) }
}

fn outcome_of_word(word: &str) -> Option<Outcome> {
    Some(match word.to_ascii_lowercase() {
        w if w.contains("rate_limit") || w == "resource_exhausted" => Outcome::RateLimited,
        w if ["authentication", "permission", "unauthenticated"].iter().any(|part| w.contains(part)) => {
            Outcome::Auth
        }
        w if w.contains("timeout") || w == "deadline_exceeded" => Outcome::Timeout,
        w if ["invalid_request_error", "request_too_large", "invalid_argument"].contains(&w.as_str()) => {
            Outcome::RefusedInput
        }
        _ => return None,
    })
}

/// Refuses a reply that announces something other than JSON or events, such as the page of a proxy.
pub(super) fn check_kind(reply: &Reply) -> Result<(), ProviderError> {
    let Some(kind) = reply.headers().get(CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or("of an unreadable type").to_ascii_lowercase();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    let known = ["json", "event-stream", "text/plain", "octet-stream"];
    if essence.is_empty() || known.iter().any(|known| essence.contains(known)) {
        return Ok(());
    }
    let shown: String = essence.chars().take(64).collect();
    Err(ProviderError::new(Outcome::BadReply, format!("the reply is {shown}, not JSON")))
}

pub(super) fn broken(detail: &str) -> ProviderError {
    ProviderError::new(Outcome::StreamBroken, detail)
}

/// A stream that says it is over without a reason: the answer was cut.
pub fn cut() -> ProviderError {
    broken("the stream ended without a finish reason")
}

/// A reply whose parts are not where they belong.
pub fn malformed(what: &str) -> ProviderError {
    ProviderError::new(Outcome::BadReply, format!("the reply has no {what}"))
}

/// Where JSON went wrong. The reader's own words quote what they complain about, which is a part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub struct JsonFault {
    what: &'static str,
    line: usize,
    column: usize,
}

impl From<serde_json::Error> for JsonFault {
    fn from(error: serde_json::Error) -> Self {
        use serde_json::error::Category;
        let what = match error.classify() {
            Category::Io => "unreadable",
            Category::Syntax => "no JSON",
            Category::Data => "another shape",
            Category::Eof => "cut off",
        };
        Self { what, line: error.line(), column: error.column() }
    }
}

/// An event or a reply that is not what the protocol says.
pub fn bad_shape(error: serde_json::Error) -> ProviderError {
    ProviderError::new(Outcome::BadReply, "the reply has another shape").with_source(JsonFault::from(error))
}

/// Bytes that make no lines of text.
impl From<LineError> for ProviderError {
    fn from(error: LineError) -> Self {
        ProviderError::new(Outcome::BadReply, "the stream is not lines of text").with_source(error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn statuses_have_reasons() {
        for (status, outcome) in [
            (400, Outcome::RefusedInput),
            (401, Outcome::Auth),
            (402, Outcome::Auth),
            (404, Outcome::NotFound),
            (429, Outcome::RateLimited),
            (500, Outcome::ProviderError),
            (504, Outcome::Timeout),
            (529, Outcome::ProviderError),
        ] {
            assert_eq!(outcome_of(status), outcome, "{status}");
        }
    }

    #[test]
    fn errors_in_a_stream_have_reasons() {
        for (body, outcome, detail) in [
            (json!({"error": {"type": "rate_limit_error"}}), Outcome::RateLimited, "rate_limit_error"),
            (json!({"error": {"code": 429}}), Outcome::RateLimited, "error event 429"),
            (json!({"error": {"code": 503, "status": "UNAVAILABLE"}}), Outcome::ProviderError, "UNAVAILABLE"),
            (json!({"error": {"status": "RESOURCE_EXHAUSTED"}}), Outcome::RateLimited, "RESOURCE_EXHAUSTED"),
            (json!({"error": {"type": "permission_error"}}), Outcome::Auth, "permission_error"),
            (json!({"error": {"type": "overloaded_error"}}), Outcome::ProviderError, "overloaded_error"),
            (json!({"error": {"code": "insufficient_quota"}}), Outcome::Auth, "insufficient_quota"),
            (json!([{"error": {"status": "INVALID_ARGUMENT"}}]), Outcome::RefusedInput, "INVALID_ARGUMENT"),
            (json!({"error": "boom"}), Outcome::ProviderError, "error event"),
            (json!("boom"), Outcome::ProviderError, "error event"),
        ] {
            let error = of_event(&body);
            assert_eq!((error.outcome, error.detail.as_str()), (outcome, detail), "{body}");
        }
    }

    #[test]
    fn a_fault_in_json_does_not_quote_it() {
        let error = serde_json::from_str::<u32>("\"secret\"").unwrap_err();
        let shown = format!("{:?}", bad_shape(error));
        assert!(!shown.contains("secret") && shown.contains("another shape"));
    }
}
