//! The circuit breaker of one model: closed, open, half-open. Times are given as the time since some fixed moment, so
//! that nothing here looks at a clock.
use std::collections::VecDeque;
use std::time::Duration;

/// The window is counted in this many parts, the oldest of which goes at a time.
const PARTS: u32 = 10;

/// When a breaker opens, and for how long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BreakerRules {
    /// Failures in the window that open it.
    pub failures: u32,
    /// The share of calls in the window that must have failed too, 0 to 1.
    pub failure_ratio: f64,
    /// The window.
    pub window: Duration,
    /// How long it stays open.
    pub open: Duration,
}

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Every call.
    Closed,
    /// None, for so long.
    Open(Duration),
    /// One at a time.
    HalfOpen,
}

/// How a call ended, as far as a breaker is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The model works.
    Good,
    /// It does not.
    Bad,
    /// The call says nothing about the model: the caller went away, or the input was refused.
    Neutral,
}

/// Leave to make one call. It must be given back by [`Breaker::settle`], whatever happens.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a ticket that is not given back keeps a half-open breaker from trying again"]
pub struct Ticket {
    probe: bool,
    epoch: u64,
}

/// A circuit breaker.
#[derive(Debug, Default)]
pub struct Breaker {
    parts: VecDeque<Part>,
    opened: Option<Duration>,
    probing: bool,
    /// Counts openings and closings: what ends of calls begun before one says nothing about the time after it.
    epoch: u64,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    begin: Duration,
    good: u32,
    bad: u32,
}

impl Breaker {
    /// What it lets through at `now`.
    pub fn state(&self, rules: &BreakerRules, now: Duration) -> BreakerState {
        match self.opened {
            None => BreakerState::Closed,
            Some(opened) => match (opened + rules.open).checked_sub(now).filter(|left| !left.is_zero()) {
                Some(left) => BreakerState::Open(left),
                None => BreakerState::HalfOpen,
            },
        }
    }

    /// True when [`Breaker::admit`] would give a ticket.
    pub fn would_admit(&self, rules: &BreakerRules, now: Duration) -> bool {
        match self.state(rules, now) {
            BreakerState::Closed => true,
            BreakerState::Open(_) => false,
            BreakerState::HalfOpen => !self.probing,
        }
    }

    /// Leave to make a call at `now`, if there is any.
    pub fn admit(&mut self, rules: &BreakerRules, now: Duration) -> Option<Ticket> {
        if !self.would_admit(rules, now) {
            return None;
        }
        let probe = self.opened.is_some();
        self.probing |= probe;
        Some(Ticket { probe, epoch: self.epoch })
    }

    /// Leave to make a call whatever the state is: the caller insists.
    pub fn insist(&mut self) -> Ticket {
        Ticket { probe: false, epoch: self.epoch }
    }

    /// A call has ended. True when this opened the breaker.
    pub fn settle(&mut self, ticket: Ticket, signal: Signal, rules: &BreakerRules, now: Duration) -> bool {
        if ticket.probe && ticket.epoch == self.epoch {
            self.probing = false;
            match signal {
                Signal::Good => self.close(),
                Signal::Bad => self.open(now),
                Signal::Neutral => {}
            }
            return signal == Signal::Bad;
        }
        if self.opened.is_some() || ticket.epoch != self.epoch {
            // An insisting caller's success is as good a sign as a probe's.
            if signal == Signal::Good && ticket.epoch == self.epoch {
                self.close();
            }
            return false;
        }
        self.count(signal, rules, now);
        let (good, bad) = self.sums();
        let opens = signal == Signal::Bad
            && bad >= rules.failures
            && f64::from(bad) >= rules.failure_ratio * f64::from(good + bad);
        if opens {
            self.open(now);
        }
        opens
    }

    fn count(&mut self, signal: Signal, rules: &BreakerRules, now: Duration) {
        while self.parts.front().is_some_and(|part| part.begin + rules.window <= now) {
            self.parts.pop_front();
        }
        let fresh = self.parts.back().is_none_or(|part| part.begin + rules.window / PARTS <= now);
        if fresh {
            self.parts.push_back(Part { begin: now, good: 0, bad: 0 });
        }
        if let Some(part) = self.parts.back_mut() {
            part.good += u32::from(signal == Signal::Good);
            part.bad += u32::from(signal == Signal::Bad);
        }
    }

    fn sums(&self) -> (u32, u32) {
        self.parts.iter().fold((0, 0), |(good, bad), part| (good + part.good, bad + part.bad))
    }

    fn open(&mut self, now: Duration) {
        self.opened = Some(now);
        self.parts.clear();
        self.probing = false;
        self.epoch += 1;
    }

    fn close(&mut self) {
        self.opened = None;
        self.parts.clear();
        self.probing = false;
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: BreakerRules = BreakerRules {
        failures: 5,
        failure_ratio: 0.6,
        window: Duration::from_secs(60),
        open: Duration::from_secs(60),
    };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn call(breaker: &mut Breaker, signal: Signal, now: u64) -> bool {
        let ticket = breaker.admit(&RULES, at(now)).expect("admitted");
        breaker.settle(ticket, signal, &RULES, at(now))
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        for n in 0..5 {
            assert_eq!(call(&mut breaker, Signal::Bad, n), n == 4);
        }
        breaker
    }

    #[test]
    fn five_failures_open_it_and_one_probe_closes_it() {
        let mut breaker = opened();
        assert_eq!(breaker.state(&RULES, at(14)), BreakerState::Open(at(50)));
        assert!(breaker.admit(&RULES, at(63)).is_none());
        let probe = breaker.admit(&RULES, at(64)).expect("a probe");
        assert_eq!(breaker.state(&RULES, at(64)), BreakerState::HalfOpen);
        assert!(breaker.admit(&RULES, at(64)).is_none(), "one at a time");
        assert!(!breaker.settle(probe, Signal::Good, &RULES, at(65)));
        assert_eq!(breaker.state(&RULES, at(65)), BreakerState::Closed);
        assert!(!call(&mut breaker, Signal::Bad, 66), "it starts anew");
    }

    #[test]
    fn a_failed_probe_opens_it_again_and_a_vanished_one_makes_room() {
        let mut breaker = opened();
        let probe = breaker.admit(&RULES, at(64)).expect("a probe");
        breaker.settle(probe, Signal::Neutral, &RULES, at(65));
        let probe = breaker.admit(&RULES, at(65)).expect("another probe");
        assert!(breaker.settle(probe, Signal::Bad, &RULES, at(66)));
        assert_eq!(breaker.state(&RULES, at(66)), BreakerState::Open(at(60)));
    }

    #[test]
    fn half_the_calls_failing_does_not_open_it() {
        let mut breaker = Breaker::default();
        for n in 0..400 {
            let signal = if n % 2 == 0 { Signal::Good } else { Signal::Bad };
            assert!(!call(&mut breaker, signal, n / 10));
        }
    }

    #[test]
    fn failures_leave_the_window() {
        let mut breaker = Breaker::default();
        for n in 0..40 {
            assert!(!call(&mut breaker, Signal::Bad, n * 20), "three or four in any minute");
        }
    }

    #[test]
    fn neutral_ends_count_for_nothing() {
        let mut breaker = Breaker::default();
        for n in 0..4 {
            call(&mut breaker, Signal::Bad, n);
        }
        for n in 0..100 {
            assert!(!call(&mut breaker, Signal::Neutral, n / 20));
        }
        assert!(call(&mut breaker, Signal::Bad, 5));
    }

    #[test]
    fn what_began_before_the_opening_says_nothing_after_it() {
        let mut breaker = Breaker::default();
        let old = breaker.admit(&RULES, at(0)).expect("closed");
        for n in 0..5 {
            call(&mut breaker, Signal::Bad, n);
        }
        breaker.settle(old, Signal::Good, &RULES, at(5));
        assert!(matches!(breaker.state(&RULES, at(5)), BreakerState::Open(_)));
        let insisting = breaker.insist();
        breaker.settle(insisting, Signal::Good, &RULES, at(6));
        assert_eq!(breaker.state(&RULES, at(6)), BreakerState::Closed);
    }
}
