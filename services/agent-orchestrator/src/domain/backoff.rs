//! How long a failed step waits before its next attempt.
use std::time::Duration;

/// The wait before the next attempt is between nothing and `base · 2^(attempt-1)`, never above `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first attempt.
    pub base: Duration,
    /// Longest wait at all, unless the peer asked for more.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after `attempt` (from 1) failed. `draw` is a number from 0 to 1 that spreads the waits of many
    /// steps (full jitter). A peer's own `retry_after` is never undercut.
    pub fn wait(&self, attempt: u32, draw: f64, retry_after: Option<Duration>) -> Duration {
        let doubled =
            self.base.saturating_mul(1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
        let longest = doubled.min(self.cap);
        let wait = longest.mul_f64(draw.clamp(0.0, 1.0));
        retry_after.map_or(wait, |asked| asked.max(wait))
    }
}

/// A number from 0 to 1 made of the step's own name: as good as chance for spreading, and the same in every test.
pub fn draw(run_id: &str, step: &str, attempt: u32) -> f64 {
    let digest = blake3::hash(format!("{run_id}/{step}/{attempt}").as_bytes());
    let bytes = digest.as_bytes();
    let number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    f64::from(number) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(30) };

    #[test]
    fn doubles_up_to_the_cap() {
        let longest: Vec<u128> = (1..=9).map(|n| BACKOFF.wait(n, 1.0, None).as_millis()).collect();
        assert_eq!(longest, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(BACKOFF.wait(u32::MAX, 1.0, None), BACKOFF.cap);
        assert_eq!(BACKOFF.wait(5, 0.0, None), Duration::ZERO);
    }

    #[test]
    fn a_peers_wish_is_a_lower_bound() {
        let asked = Duration::from_secs(60);
        for draw in [0.0, 0.3, 1.0] {
            assert!(BACKOFF.wait(1, draw, Some(asked)) >= asked);
        }
    }

    #[test]
    fn draws_are_spread_over_the_range() {
        let draws: Vec<f64> = (0..1_000).map(|n| draw(&format!("run_{n}"), "draft.1", 1)).collect();
        assert!(draws.iter().all(|d| (0.0..=1.0).contains(d)));
        let low = draws.iter().filter(|d| **d < 0.5).count();
        assert!((400..600).contains(&low), "{low} of 1000 in the lower half");
    }
}
