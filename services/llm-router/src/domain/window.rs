//! Calls and tokens in any minute: a sliding window, exact to the call. Times are given as the time since some fixed
//! moment.
use std::collections::VecDeque;
use std::time::Duration;

/// The window's length.
pub const MINUTE: Duration = Duration::from_secs(60);

/// What may happen in any minute; 0 is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// Calls.
    pub requests: u32,
    /// Tokens, prompt and answer together.
    pub tokens: u32,
}

impl Rates {
    /// True when nothing is limited.
    pub fn are_unlimited(&self) -> bool {
        self.requests == 0 && self.tokens == 0
    }
}

/// The calls of the last minute.
#[derive(Debug, Default)]
pub struct RateWindow {
    calls: VecDeque<Entry>,
    tokens: u64,
    next: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    number: u64,
    at: Duration,
    tokens: u64,
}

/// A call's place in the window, for [`RateWindow::correct`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u64);

impl RateWindow {
    /// Counts a call of about so many tokens at `now`, or says how long until it would fit. A call that is larger than
    /// the whole limit fits when nothing else is in the window: it would never fit otherwise.
    ///
    /// # Errors
    /// The time to wait, above 0.
    pub fn take(&mut self, rates: Rates, tokens: u64, now: Duration) -> Result<Place, Duration> {
        self.forget(now);
        match self.wait(rates, tokens, now) {
            Some(wait) => Err(wait),
            None => Ok(self.note(tokens, now)),
        }
    }

    /// Counts a call of about so many tokens at `now`, whether or not it fits: somebody else has seen to that.
    pub fn note(&mut self, tokens: u64, now: Duration) -> Place {
        self.forget(now);
        self.next += 1;
        self.calls.push_back(Entry { number: self.next, at: now, tokens });
        self.tokens += tokens;
        Place(self.next)
    }

    /// True while a call is in the window, or was when the latest one was counted.
    pub fn holds(&self, place: Place) -> bool {
        self.calls.binary_search_by_key(&place.0, |entry| entry.number).is_ok()
    }

    /// How long until a call would fit; `None` when it does now.
    pub fn wait(&self, rates: Rates, tokens: u64, now: Duration) -> Option<Duration> {
        // The sum is kept, so that a full window is not gone through for every call.
        let (mut count, mut sum) = (self.calls.len() as u64, self.tokens);
        let mut gone = 0;
        for entry in self.calls.iter().take_while(|entry| entry.at + MINUTE <= now) {
            (count, sum, gone) = (count - 1, sum - entry.tokens, gone + 1);
        }
        let fits = |count: u64, sum: u64| {
            let requests = rates.requests == 0 || count < u64::from(rates.requests);
            let room = rates.tokens == 0 || sum + tokens <= u64::from(rates.tokens) || count == 0;
            requests && room
        };
        let mut until = None;
        for entry in self.calls.iter().skip(gone) {
            if fits(count, sum) {
                break;
            }
            (count, sum) = (count - 1, sum - entry.tokens);
            until = Some((entry.at + MINUTE).saturating_sub(now));
        }
        until.filter(|wait| !wait.is_zero())
    }

    /// The true number of tokens of a call, known at its end.
    pub fn correct(&mut self, place: Place, tokens: u64) {
        if let Ok(at) = self.calls.binary_search_by_key(&place.0, |entry| entry.number) {
            let entry = &mut self.calls[at];
            self.tokens = self.tokens - entry.tokens + tokens;
            entry.tokens = tokens;
        }
    }

    /// Takes a call back that was not made.
    pub fn give_back(&mut self, place: Place) {
        if let Ok(at) = self.calls.binary_search_by_key(&place.0, |entry| entry.number) {
            self.tokens -= self.calls[at].tokens;
            self.calls.remove(at);
        }
    }

    fn forget(&mut self, now: Duration) {
        while let Some(entry) = self.calls.front().filter(|entry| entry.at + MINUTE <= now) {
            self.tokens -= entry.tokens;
            self.calls.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_eleventh_call_waits_for_the_first_to_leave() {
        let rates = Rates { requests: 10, tokens: 0 };
        let mut window = RateWindow::default();
        for n in 0..10 {
            assert!(window.take(rates, 1, at(n * 100)).is_ok());
        }
        assert_eq!(window.take(rates, 1, at(1_000)), Err(at(59_000)));
        assert!(window.take(rates, 1, at(60_000)).is_ok());
        assert_eq!(window.take(rates, 1, at(60_000)), Err(at(100)));
    }

    #[test]
    fn tokens_are_corrected_when_they_are_known() {
        let rates = Rates { requests: 0, tokens: 1_000 };
        let mut window = RateWindow::default();
        let first = window.take(rates, 800, at(0)).expect("room");
        assert_eq!(window.take(rates, 300, at(1)), Err(at(59_999)));
        window.correct(first, 100);
        let second = window.take(rates, 900, at(2)).expect("room again");
        window.give_back(second);
        assert!(window.take(rates, 900, at(3)).is_ok());
    }

    #[test]
    fn a_call_larger_than_the_limit_goes_alone() {
        let rates = Rates { requests: 0, tokens: 100 };
        let mut window = RateWindow::default();
        assert!(window.take(rates, 500, at(0)).is_ok());
        assert_eq!(window.take(rates, 500, at(10)), Err(at(59_990)));
        assert!(window.take(rates, 500, at(60_000)).is_ok());
    }

    proptest! {
        #[test]
        fn no_minute_ever_holds_more(steps in prop::collection::vec((0u64..5_000, 1u64..60), 1..300)) {
            let rates = Rates { requests: 20, tokens: 400 };
            let (mut window, mut now, mut taken) = (RateWindow::default(), 0, Vec::new());
            for (pause, tokens) in steps {
                now += pause;
                match window.take(rates, tokens, at(now)) {
                    Ok(_) => taken.push((now, tokens)),
                    Err(wait) => {
                        prop_assert!(wait > Duration::ZERO);
                        let then = at(now) + wait;
                        prop_assert!(window.wait(rates, tokens, then).is_none(), "the wait is enough");
                    }
                }
                let minute = || taken.iter().filter(|(at, _)| at + 60_000 > now);
                prop_assert!(minute().count() <= 20);
                prop_assert!(minute().map(|(_, tokens)| tokens).sum::<u64>() <= 400);
            }
        }
    }
}
