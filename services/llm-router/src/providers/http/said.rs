//! What an error body says. The machine's words may be logged; the sentence beside them may quote the prompt or a part
//! of the key, so it is kept apart.
use std::time::Duration;

use serde_json::Value;

use super::wait;
use crate::domain::Outcome;

/// What an error body says, in whichever of the usual shapes.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// The machine's words, such as `rate_limit_exceeded`, in the order of their places.
    pub(super) words: Vec<String>,
    /// A status in the body.
    pub(super) code: Option<u16>,
    /// The sentence, as it came.
    pub(super) message: Option<String>,
    /// When to ask again.
    pub(super) retry_after: Option<Duration>,
}

/// Words that say more than the status beside them.
const TELLING: [(&str, Outcome); 12] = [
    ("insufficient_quota", Outcome::Auth),
    ("billing_error", Outcome::Auth),
    ("invalid_api_key", Outcome::Auth),
    ("API_KEY_INVALID", Outcome::Auth),
    // Gemini's word for an account that may not be used from here.
    ("FAILED_PRECONDITION", Outcome::Auth),
    // Groq gives it beside a 413 too, where the request is more than a minute's tokens.
    ("rate_limit_exceeded", Outcome::RateLimited),
    // The model failed to keep a form, with input that others may take.
    ("json_validate_failed", Outcome::BadReply),
    ("tool_use_failed", Outcome::BadReply),
    ("model_not_found", Outcome::NotFound),
    ("model_decommissioned", Outcome::NotFound),
    ("not_found_error", Outcome::NotFound),
    ("NOT_FOUND", Outcome::NotFound),
];

impl Said {
    /// The reason that its words give, where they say more than the status beside them.
    pub(super) fn telling(&self) -> Option<Outcome> {
        let word = |(word, outcome): &(&str, Outcome)| {
            self.words.iter().any(|said| said == word).then_some(*outcome)
        };
        if self.is_out_of_money() { Some(Outcome::Auth) } else { TELLING.iter().find_map(word) }
    }

    /// Some say it with a word; Anthropic has only a sentence beside a 400 for it.
    pub(super) fn is_out_of_money(&self) -> bool {
        let sentence = self.message.as_deref().unwrap_or_default();
        self.words.iter().any(|word| word == "insufficient_quota" || word == "billing_error")
            || sentence.contains("credit balance is too low")
    }
}

/// Reads an error body, or the error in one.
pub(super) fn said(body: &Value) -> Said {
    // Gemini wraps errors in an array where no event stream was asked for.
    let body = body.get(0).unwrap_or(body);
    let error = body.get("error").filter(|error| !error.is_null()).unwrap_or(body);
    let mut said = Said::default();
    for place in [error, body] {
        for key in ["code", "type", "error_type", "status"] {
            said.words.extend(
                place.get(key).and_then(Value::as_str).filter(|word| is_plain(word)).map(str::to_owned),
            );
        }
    }
    for detail in error.get("details").and_then(Value::as_array).into_iter().flatten() {
        said.words.extend(
            detail.get("reason").and_then(Value::as_str).filter(|word| is_plain(word)).map(str::to_owned),
        );
        let delay = detail.get("retryDelay").and_then(Value::as_str);
        said.retry_after = said.retry_after.or_else(|| delay.and_then(wait::span));
    }
    let code = error.get("code").and_then(Value::as_u64);
    said.code = code.and_then(|code| u16::try_from(code).ok());
    said.message = sentence(error, body).map(str::to_owned);
    said
}

fn is_plain(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (1..=64).contains(&word.len()) && word.bytes().all(plain) && word != "error"
}

fn sentence<'a>(error: &'a Value, body: &'a Value) -> Option<&'a str> {
    let message = |place: &'a Value| place.get("message").and_then(Value::as_str);
    let detail = body.get("detail");
    let listed = || detail?.get(0)?.get("msg").and_then(Value::as_str);
    error
        .as_str()
        .or_else(|| message(error))
        .or_else(|| message(body))
        .or_else(|| detail.and_then(Value::as_str))
        .or_else(listed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_plain_words_of_an_error_are_kept_and_its_sentence_apart() {
        let told = said(&json!({"error": {"code": "the prompt: hello", "message": "secret prompt"}}));
        assert!(told.words.is_empty());
        assert_eq!(told.message.as_deref(), Some("secret prompt"));
        for (body, message) in [
            (json!({"error": "a", "error_type": "validation"}), "a"),
            (json!({"message": "b"}), "b"),
            (json!({"detail": "c"}), "c"),
            (json!({"detail": [{"loc": [], "msg": "d"}]}), "d"),
        ] {
            assert_eq!(said(&body).message.as_deref(), Some(message));
        }
    }
}
