//! Days and months in UTC, without a clock.

const DAY_MS: i64 = 86_400_000;

/// Over which time money is limited. The numbers are the contract's and the store's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// From midnight to midnight.
    Day = 1,
    /// From the first of a month to the first of the next.
    Month = 2,
    /// For ever.
    Total = 3,
}

/// One period of a budget, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// When it began; 0 for [`Period::Total`].
    pub start_ms: i64,
    /// When it ends, not included; [`i64::MAX`] for [`Period::Total`].
    pub end_ms: i64,
}

impl Window {
    /// True when a time is in it.
    pub fn holds(&self, at_ms: i64) -> bool {
        (self.start_ms..self.end_ms).contains(&at_ms)
    }
}

impl Period {
    /// The period with this number.
    pub fn from_number(number: i64) -> Option<Self> {
        [Self::Day, Self::Month, Self::Total].into_iter().find(|period| *period as i64 == number)
    }

    /// The word in warnings, faults and labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// The window that a time is in.
    pub fn window(self, at_ms: i64) -> Window {
        let today = at_ms.div_euclid(DAY_MS);
        match self {
            Self::Day => Window { start_ms: today * DAY_MS, end_ms: (today + 1).saturating_mul(DAY_MS) },
            Self::Month => {
                let (year, month, day) = civil(today);
                let first = today - (day - 1);
                let next = first + days_in(year, month);
                Window { start_ms: first * DAY_MS, end_ms: next.saturating_mul(DAY_MS) }
            }
            Self::Total => Window { start_ms: 0, end_ms: i64::MAX },
        }
    }
}

/// A day given in days since 1970, as `2026-11-24`.
pub fn date(day: i64) -> String {
    let (year, month, day) = civil(day);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month (1 to 12) and day (1 to 31) of a day. Years are counted from March here, so that the leap day comes last.
fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_have_their_dates() {
        for (day, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (59, "1970-03-01"),
            (11_016, "2000-02-29"),
            (20_781, "2026-11-24"),
            (47_540, "2100-02-28"),
            (47_541, "2100-03-01"),
        ] {
            assert_eq!(date(day), text);
        }
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let november = Period::Month.window(20_781 * DAY_MS + 5);
        assert_eq!(date(november.start_ms / DAY_MS), "2026-11-01");
        assert_eq!(date(november.end_ms / DAY_MS), "2026-12-01");
        let leap = Period::Month.window(11_016 * DAY_MS);
        assert_eq!((leap.end_ms - leap.start_ms) / DAY_MS, 29);
        assert!(Period::Total.window(5).holds(i64::MAX - 1));
    }

    proptest! {
        #[test]
        fn windows_hold_their_time_and_meet(at in 0_i64..4_102_444_800_000) {
            for period in [Period::Day, Period::Month] {
                let window = period.window(at);
                prop_assert!(window.holds(at) && !window.holds(window.end_ms));
                prop_assert_eq!(period.window(window.end_ms).start_ms, window.end_ms);
                prop_assert_eq!(period.window(window.end_ms - 1), window);
            }
        }
    }
}
