//! When a provider says to ask again.
use std::time::{Duration, SystemTime};

use http::header::HeaderMap;

/// The longest wait that is believed.
const LONGEST: Duration = Duration::from_secs(3_600);

/// The wait that the headers ask for, one hour at most: `retry-after-ms`, or `retry-after` as seconds or a date.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let number = |name: &str| text(name)?.parse::<f64>().ok();
    if let Some(wait) = number("retry-after-ms").and_then(|ms| seconds(ms / 1_000.0)) {
        return Some(wait);
    }
    match number("retry-after") {
        Some(number) => seconds(number),
        None => {
            let then = httpdate::parse_http_date(text("retry-after")?).ok()?;
            Some(then.duration_since(now).unwrap_or_default().min(LONGEST))
        }
    }
}

/// The wait that follows from the rate limits a reply shows, for a 429 that names none: that of the limit which is
/// used up, or where neither says so the shorter one, since asking too early costs one call and too late costs time.
pub fn limit_reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let reset = |what: &str| text(&format!("x-ratelimit-reset-{what}")).and_then(span);
    let used_up = |what: &str| text(&format!("x-ratelimit-remaining-{what}")) == Some("0");
    let both = ["requests", "tokens"];
    let spent = both.iter().filter(|what| used_up(what)).filter_map(|what| reset(what)).max();
    spent.or_else(|| both.iter().filter_map(|what| reset(what)).min())
}

/// Reads `6m0s`, `2m59.56s`, `20ms` or a bare number of seconds; one hour at most.
pub fn span(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    if let Ok(number) = text.parse() {
        return seconds(number);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| {
            after.strip_prefix(unit).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphabetic()))
        })?;
        total += number.parse::<f64>().ok()? * factor;
        rest = &after[unit.len()..];
    }
    if text.is_empty() { None } else { seconds(total) }
}

fn seconds(number: f64) -> Option<Duration> {
    number.is_finite().then(|| Duration::from_secs_f64(number.clamp(0.0, LONGEST.as_secs_f64())))
}

#[cfg(test)]
mod tests {
    use http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        pairs.iter().copied().map(pair).collect()
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        let now = httpdate::parse_http_date("Tue, 24 Nov 2026 10:00:00 GMT").unwrap();
        for (value, expected) in [
            ("7", Some(7_000)),
            ("0.5", Some(500)),
            ("1e9", Some(3_600_000)),
            ("-3", Some(0)),
            ("soon", None),
            ("inf", None),
            ("Tue, 24 Nov 2026 10:00:09 GMT", Some(9_000)),
            ("Tue, 24 Nov 2026 09:59:00 GMT", Some(0)),
            ("Fri, 24 Nov 2028 10:00:00 GMT", Some(3_600_000)),
        ] {
            let wait = retry_after(&headers(&[("retry-after", value)]), now);
            assert_eq!(wait.map(|d| d.as_millis()), expected, "{value}");
        }
        let both = headers(&[("retry-after", "7"), ("retry-after-ms", "250")]);
        assert_eq!(retry_after(&both, now), Some(Duration::from_millis(250)));
    }

    #[test]
    fn spans_are_read() {
        for (text, expected) in [
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("20ms", Some(20)),
            ("2m59.56s", Some(179_560)),
            ("1h2m", Some(3_600_000)),
            ("3", Some(3_000)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("1.2.3s", None),
            ("5mss", None),
        ] {
            assert_eq!(span(text).map(|d| d.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn the_limit_that_is_used_up_says_how_long() {
        let resets = [("x-ratelimit-reset-requests", "2m0s"), ("x-ratelimit-reset-tokens", "5s")];
        assert_eq!(limit_reset(&headers(&resets)), Some(Duration::from_secs(5)));
        let spent = [resets[0], resets[1], ("x-ratelimit-remaining-requests", "0")];
        assert_eq!(limit_reset(&headers(&spent)), Some(Duration::from_secs(120)));
        assert_eq!(limit_reset(&headers(&[])), None);
    }
}
