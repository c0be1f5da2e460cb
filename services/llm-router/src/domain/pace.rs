//! How fast and how well a model answers: moving averages and the latest latencies.
use std::time::Duration;

use super::Outcome;

/// How much the latest call weighs in a moving average.
const WEIGHT: f64 = 0.2;

/// How many latencies a percentile is taken of.
const KEPT: usize = 128;

/// Fewer latencies than this make no percentile.
const ENOUGH: usize = 10;

/// The latest latencies of one kind.
#[derive(Debug, Default)]
pub struct Latencies {
    latest: Vec<u32>,
    next: usize,
    average_us: f64,
}

impl Latencies {
    /// Adds one.
    pub fn add(&mut self, latency: Duration) {
        let us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        self.average_us = if self.latest.is_empty() {
            f64::from(us)
        } else {
            self.average_us + WEIGHT * (f64::from(us) - self.average_us)
        };
        if self.latest.len() < KEPT {
            self.latest.push(us);
        } else {
            self.latest[self.next] = us;
        }
        self.next = (self.next + 1) % KEPT;
    }

    /// The moving average in microseconds; 0 before the first.
    pub fn average_us(&self) -> u64 {
        self.average_us as u64
    }

    /// The 95th percentile (nearest rank) of the latest 128.
    pub fn p95(&self) -> Option<Duration> {
        let rank = (self.latest.len() * 95).div_ceil(100).checked_sub(1)?;
        let mut sorted = self.latest.clone();
        let (_, value, _) = sorted.select_nth_unstable(rank);
        Some(Duration::from_micros(u64::from(*value)))
    }

    /// The same, when there are enough of them to act on.
    pub fn reliable_p95(&self) -> Option<Duration> {
        if self.latest.len() < ENOUGH { None } else { self.p95() }
    }
}

/// How a model does.
#[derive(Debug, Default)]
pub struct Pace {
    /// Calls that said something about the model.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// Moving average of failures, 0 to 1.
    pub error_rate: f64,
    /// Of whole answers.
    pub whole: Latencies,
    /// To the first token of streams.
    pub first_token: Latencies,
    /// How the latest call ended.
    pub last: Option<Outcome>,
}

impl Pace {
    /// A call has ended; `good` is `None` when it says nothing about the model.
    pub fn add(&mut self, outcome: Outcome, good: Option<bool>) {
        self.last = Some(outcome);
        let Some(good) = good else { return };
        let failed = f64::from(u8::from(!good));
        self.error_rate =
            if self.calls == 0 { failed } else { self.error_rate + WEIGHT * (failed - self.error_rate) };
        self.calls += 1;
        self.failures += u64::from(!good);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_latest() {
        let mut latencies = Latencies::default();
        assert_eq!((latencies.p95(), latencies.average_us()), (None, 0));
        for ms in 1..=100 {
            latencies.add(Duration::from_millis(ms));
        }
        assert_eq!(latencies.p95(), Some(Duration::from_millis(95)));
        for _ in 0..KEPT {
            latencies.add(Duration::from_millis(7));
        }
        assert_eq!(latencies.p95(), Some(Duration::from_millis(7)));
        assert!((6_999..=7_001).contains(&latencies.average_us()));
    }

    #[test]
    fn few_latencies_are_nothing_to_act_on() {
        let mut latencies = Latencies::default();
        for n in 1..=ENOUGH {
            assert_eq!(latencies.reliable_p95(), None, "{n}");
            latencies.add(Duration::from_millis(1));
        }
        assert!(latencies.reliable_p95().is_some());
    }

    #[test]
    fn neutral_calls_do_not_move_the_error_rate() {
        let mut pace = Pace::default();
        pace.add(Outcome::Ok, Some(true));
        pace.add(Outcome::Timeout, Some(false));
        pace.add(Outcome::Cancelled, None);
        assert_eq!((pace.calls, pace.failures, pace.error_rate), (2, 1, WEIGHT));
        assert_eq!(pace.last, Some(Outcome::Cancelled));
    }
}
