//! A moment as RFC 3339 writes it: `2026-11-30T08:00:00.5+01:00`.

/// A moment: seconds since 1970, UTC, and nanoseconds after them. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    seconds: i64,
    nanos: u32,
}

impl Moment {
    /// So many milliseconds since 1970, UTC.
    pub fn from_millis(millis: i64) -> Self {
        Self { seconds: millis.div_euclid(1000), nanos: millis.rem_euclid(1000) as u32 * 1_000_000 }
    }

    /// Seconds since 1970, UTC, and nanoseconds after them.
    pub const fn parts(&self) -> (i64, u32) {
        (self.seconds, self.nanos)
    }

    /// As RFC 3339 writes it, to the second.
    pub fn text(self) -> String {
        let (days, of_day) = (self.seconds.div_euclid(86_400), self.seconds.rem_euclid(86_400));
        let (year, month, day) = date(days);
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60
        )
    }

    /// Milliseconds since 1970, UTC.
    pub fn millis(self) -> i64 {
        self.seconds * 1000 + i64::from(self.nanos / 1_000_000)
    }

    /// Reads an RFC 3339 time; `None` when the text is none. A leap second is the last moment of its minute; digits
    /// after the ninth of a second's fraction are cut off.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Rest(text.as_bytes());
        let (year, month, day) = (rest.number(4)?, rest.after(b"-", 2)?, rest.after(b"-", 2)?);
        let (hour, minute, second) = (rest.after(b"Tt ", 2)?, rest.after(b":", 2)?, rest.after(b":", 2)?);
        let nanos = rest.fraction()?;
        let offset = rest.offset()?;
        let good = (1..=12).contains(&month)
            && (1..=days_in(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second <= 60
            && rest.0.is_empty();
        let of_day = hour * 3600 + minute * 60 + second.min(59);
        let nanos = if second == 60 { 999_999_999 } else { nanos };
        good.then(|| Self { seconds: days_since_1970(year, month, day) * 86_400 + of_day - offset, nanos })
    }
}

/// What is left to be read.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn number(&mut self, digits: usize) -> Option<i64> {
        let (head, tail) = self.0.split_at_checked(digits)?;
        self.0 = tail;
        head.iter()
            .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
    }

    /// One of these signs.
    fn sign(&mut self, signs: &[u8]) -> Option<u8> {
        let (first, tail) = self.0.split_first()?;
        self.0 = if signs.contains(first) { tail } else { return None };
        Some(*first)
    }

    fn after(&mut self, signs: &[u8], digits: usize) -> Option<i64> {
        self.sign(signs)?;
        self.number(digits)
    }

    fn fraction(&mut self) -> Option<u32> {
        if self.sign(b".").is_none() {
            return Some(0);
        }
        let length = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, tail) = self.0.split_at(length);
        self.0 = tail;
        let nine = digits.iter().chain(&[b'0'; 9]).take(9);
        (length > 0).then(|| nine.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
    }

    /// Seconds east of Greenwich.
    fn offset(&mut self) -> Option<i64> {
        let east = match self.sign(b"Zz+-")? {
            b'+' => 1,
            b'-' => -1,
            _ => return Some(0),
        };
        let (hours, minutes) = (self.number(2)?, self.after(b":", 2)?);
        (hours < 24 && minutes < 60).then_some(east * (hours * 3600 + minutes * 60))
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// By the calendar of years that begin in March, in which leap days come last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 719_469
}

/// The inverse: the date of a day, counted in eras of 400 years that begin in March.
fn date(days: i64) -> (i64, i64, i64) {
    let (era, of_era) = ((days + 719_468).div_euclid(146_097), (days + 719_468).rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year + era * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn offsets_fractions_and_leap_seconds() {
        let parsed = |text: &str| Moment::parse(text).map(|moment| (moment.seconds, moment.nanos));
        assert_eq!(parsed("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(parsed("2026-11-30T08:00:00.5+01:00"), Some((1_796_022_000, 500_000_000)));
        assert_eq!(parsed("2026-11-30t07:00:00z"), Some((1_796_022_000, 0)));
        assert_eq!(parsed("1969-12-31T23:59:60.1Z"), Some((-1, 999_999_999)));
        assert_eq!(parsed("0001-01-01T00:00:00Z"), Some((-62_135_596_800, 0)));
        assert_eq!(Moment::from_millis(-1), Moment::parse("1969-12-31T23:59:59.999Z").unwrap());
        for odd in [
            "",
            "2026-11-30",
            "2026-11-30T08:00:00",
            "2026-11-30T08:00:00.Z",
            "2026-02-29T08:00:00Z",
            "2026-13-01T08:00:00Z",
            "2026-11-30T24:00:00Z",
            "2026-11-30T08:00:00Zz",
            "2026-11-30T08:00:00+1:00",
            "2026-11-30T08:0é:00Z",
        ] {
            assert_eq!(Moment::parse(odd), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in -62_167_219_200i64..253_402_300_800) {
            let moment = Moment { seconds, nanos: 0 };
            prop_assert_eq!(Moment::parse(&moment.text()), Some(moment), "{}", moment.text());
        }

        #[test]
        fn agrees_with_the_reader_of_protobuf(seconds in -62_135_596_800..253_402_300_799i64, nanos in 0..1_000_000_000i32) {
            let text = prost_types::Timestamp { seconds, nanos }.to_string();
            prop_assert_eq!(Moment::parse(&text), Some(Moment { seconds, nanos: nanos as u32 }), "{}", text);
        }

        #[test]
        fn reads_anything_without_a_panic(text in ".{0,40}") {
            let _ = Moment::parse(&text);
        }
    }
}
