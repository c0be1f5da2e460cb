//! Unit words and their canonical form.

use super::quantity::Kind;

/// The kind a unit word stands for and what one of it is worth in the kind's base unit.
pub(super) fn unit(word: &str) -> Option<(Kind, f64)> {
    if let Some(kind) = sign(word) {
        return Some((kind, 1.0));
    }
    if let Some(seconds) = seconds(word) {
        return Some((Kind::Seconds, seconds));
    }
    if let Some(bytes) = bytes(word) {
        return Some((Kind::Bytes, bytes));
    }
    other(word).map(|name| (Kind::Unit(name), 1.0))
}

fn sign(word: &str) -> Option<Kind> {
    Some(match word {
        "%" | "percent" | "pct" | "percentage" => Kind::Percent,
        "x" | "times" | "fold" => Kind::Times,
        "dollar" | "dollars" | "usd" => Kind::Currency('$'),
        "euro" | "euros" | "eur" => Kind::Currency('€'),
        "pounds" | "gbp" => Kind::Currency('£'),
        "yen" | "jpy" => Kind::Currency('¥'),
        "rupees" | "inr" => Kind::Currency('₹'),
        _ => return None,
    })
}

fn seconds(word: &str) -> Option<f64> {
    Some(match word {
        "ns" | "nanosecond" | "nanoseconds" => 1e-9,
        "us" | "µs" | "μs" | "microsecond" | "microseconds" => 1e-6,
        "ms" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

fn bytes(word: &str) -> Option<f64> {
    Some(match word {
        "byte" | "bytes" => 1.0,
        "kb" | "kilobyte" | "kilobytes" => 1e3,
        "mb" | "megabyte" | "megabytes" => 1e6,
        "gb" | "gigabyte" | "gigabytes" => 1e9,
        "tb" | "terabyte" | "terabytes" => 1e12,
        "kib" => 1024.0,
        "mib" => 1_048_576.0,
        "gib" => 1_073_741_824.0,
        "tib" => 1_099_511_627_776.0,
        _ => return None,
    })
}

fn other(word: &str) -> Option<&'static str> {
    Some(match word {
        "month" | "months" => "month",
        "quarter" | "quarters" => "quarter",
        "year" | "years" | "yr" | "yrs" => "year",
        "decade" | "decades" => "decade",
        "m" | "meter" | "meters" | "metre" | "metres" => "metre",
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => "km",
        "mile" | "miles" => "mile",
        "feet" | "foot" => "foot",
        "g" | "gram" | "grams" => "gram",
        "kg" | "kilogram" | "kilograms" => "kg",
        "hz" => "hz",
        "mhz" => "mhz",
        "ghz" => "ghz",
        "kwh" => "kwh",
        "degree" | "degrees" => "degree",
        _ => return None,
    })
}
