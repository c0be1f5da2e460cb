//! When a failed call is repeated: waits with full jitter, and a budget so that an outage is not made worse.
use std::time::Duration;

/// The most repeats that can be saved up.
const MOST_SAVED: f64 = 10.0;

/// Repeats that calls to one provider may share. Each first call adds a part of one; each repeat takes a whole one
/// (as gRPC's retry throttling does, proposal A6).
#[derive(Debug)]
pub struct RetryBudget {
    saved: f64,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { saved: MOST_SAVED }
    }
}

impl RetryBudget {
    /// A first call was made.
    pub fn deposit(&mut self, ratio: f64) {
        self.saved = (self.saved + ratio).min(MOST_SAVED);
    }

    /// Takes one repeat; false when there is none.
    pub fn take(&mut self) -> bool {
        let enough = self.saved >= 1.0;
        if enough {
            self.saved -= 1.0;
        }
        enough
    }

    /// How full it is, 0 to 1.
    pub fn left(&self) -> f64 {
        self.saved / MOST_SAVED
    }
}

/// How rounds of retries wait.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The longest wait before the second round.
    pub base: Duration,
    /// The longest wait before any round.
    pub longest: Duration,
}

impl Backoff {
    /// The wait before `round`, counted from 1 for the second: drawn from 0 to `base` × 2^(round-1) by `random`, 0 to 1
    /// ("full jitter"). A provider that said when to come again is heeded, if that is not too long.
    pub fn wait(&self, round: u32, random: f64, asked: Option<Duration>) -> Option<Duration> {
        if let Some(asked) = asked {
            return (asked <= self.longest).then_some(asked);
        }
        let ceiling = self.base.saturating_mul(1 << (round.saturating_sub(1)).min(20)).min(self.longest);
        Some(ceiling.mul_f64(random.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_gets_a_fifth_more_calls_at_most() {
        let mut budget = RetryBudget::default();
        let mut repeats = 0;
        for _ in 0..1_000 {
            budget.deposit(0.2);
            repeats += u32::from(budget.take());
        }
        assert!((200..=210).contains(&repeats), "{repeats}");
    }

    #[test]
    fn waits_double_and_are_bounded_and_heed_the_provider() {
        let backoff = Backoff { base: Duration::from_millis(200), longest: Duration::from_secs(1) };
        let full = |round| backoff.wait(round, 1.0, None).map(|w| w.as_millis());
        assert_eq!(
            [full(1), full(2), full(3), full(4), full(99)].map(Option::unwrap),
            [200, 400, 800, 1_000, 1_000]
        );
        assert_eq!(backoff.wait(3, 0.0, None), Some(Duration::ZERO));
        assert_eq!(backoff.wait(1, 0.3, Some(Duration::from_millis(900))), Some(Duration::from_millis(900)));
        assert_eq!(backoff.wait(1, 0.3, Some(Duration::from_secs(7))), None);
    }
}
