//! What is measured, and how it is shown.
use std::time::Duration;

use crate::client::Target;
use crate::load::{Call, repeat};
use crate::measure::{Measured, Plan, Seen, measure};
use crate::process::Process;
use crate::script::Script;

/// The core of the process that is measured.
const MEASURED: usize = 0;
/// The core of the callers and the upstream.
pub const CALLERS: usize = 1;
/// Callers, and the connections that they share.
const UNARY: [(usize, usize); 4] = [(1, 1), (32, 4), (256, 16), (64, 64)];
const FIRST_TOKEN_MS: [u64; 4] = [0, 5, 20, 100];
const STREAMS: usize = 1_000;
const MEMORY_CALLS: u64 = 100_000;

/// The parts of the bench, running.
pub struct Bench {
    direct: Target,
    floor: (Target, Process),
    router: (Target, Process),
    with_id: Target,
    _upstream: Process,
    quick: bool,
}

impl Bench {
    /// Starts them.
    pub fn start(folder: &str, quick: bool) -> anyhow::Result<Self> {
        let upstream = Process::start(CALLERS, &[crate::ROLE, "upstream"])?;
        let floor = Process::start(MEASURED, &[crate::ROLE, "floor", &upstream.address])?;
        let router = Process::start(MEASURED, &[crate::ROLE, "router", &upstream.address, folder])?;
        let target = |name, process: &Process, with_id| {
            let tokens = process.words.iter().map(|word| format!("Bearer {word}").parse());
            anyhow::Ok(Target {
                name,
                address: process.address.clone(),
                is_direct: false,
                tokens: tokens.collect::<Result<_, _>>()?,
                with_id,
            })
        };
        Ok(Self {
            direct: Target { is_direct: true, ..target("direct", &upstream, false)? },
            with_id: target("router+id", &router, true)?,
            floor: (target("floor", &floor, false)?, floor),
            router: (target("router", &router, false)?, router),
            _upstream: upstream,
            quick,
        })
    }

    fn all(&self) -> [Measured<'_>; 4] {
        let (floor, router) = (&self.floor, &self.router);
        [
            (&self.direct, None),
            (&floor.0, Some(&floor.1)),
            (&router.0, Some(&router.1)),
            (&self.with_id, Some(&router.1)),
        ]
    }

    fn plan(&self, callers: usize, connections: usize, call: Call) -> Plan {
        let (rounds, ms) = if self.quick { (3, 500) } else { (11, 1_000) };
        Plan { callers, connections, call, rounds, length: Duration::from_millis(ms) }
    }

    /// Whole answers: what is added to each, and what they cost.
    pub async fn unary(&self) -> anyhow::Result<()> {
        println!(
            "\nunary, 0 ms upstream       calls/s   p50 µs   p99 µs | added p50  added p99 |  cpu µs/call"
        );
        for (callers, connections) in UNARY {
            let seen = measure(self.plan(callers, connections, Call::Unary), &self.all()).await?;
            println!("c={callers}, {connections} connections");
            for (at, (target, _)) in self.all().iter().enumerate() {
                let cpu = seen.cpu_per(at, |round| round.calls);
                println!(
                    "  {:<22} {:>9.0} {:>8.0} {:>8.0} | {:>9.0} {:>10.0} | {:>12.1}",
                    target.name,
                    seen.median(at, |round| round.rate),
                    seen.median(at, |round| round.p50),
                    seen.median(at, |round| round.p99),
                    seen.added(at, |round| round.p50),
                    seen.added(at, |round| round.p99),
                    cpu,
                );
            }
            let cpu = ratio(&seen, 2, |seen, at| seen.cpu_per(at, |round| round.calls));
            let rate = ratio(&seen, 2, |seen, at| seen.median(at, |round| round.rate));
            let p50 = ratio(&seen, 2, |seen, at| seen.added(at, |round| round.p50));
            let p99 = ratio(&seen, 2, |seen, at| seen.added(at, |round| round.p99));
            println!("  router x floor: added p50 {p50:.2} p99 {p99:.2}, calls/s {rate:.2}, cpu {cpu:.2}");
        }
        println!("  aims: c=1 added p50 <= 1.60, p99 <= 2.00; c=64 calls/s >= 0.25");
        Ok(())
    }

    /// The first token of streams.
    pub async fn first_token(&self) -> anyhow::Result<()> {
        println!("\nfirst token, c=1          direct p50 µs | added p50 and p99 µs: floor, router | x floor");
        let targets = &self.all()[..3];
        for first_ms in FIRST_TOKEN_MS {
            let script = Script { first_ms, tokens: 3, gap_ms: 1 };
            let seen = measure(self.plan(1, 1, Call::Stream(script)), targets).await?;
            let added = |at: usize| (seen.added(at, |round| round.p50), seen.added(at, |round| round.p99));
            let (floor, router) = (added(1), added(2));
            println!(
                "  upstream's {first_ms:>3} ms       {:>13.0} | {:>6.0} {:>6.0}   {:>6.0} {:>6.0} | {:.2}",
                seen.median(0, |round| round.p50),
                floor.0,
                floor.1,
                router.0,
                router.1,
                router.0 / floor.0,
            );
        }
        println!("  aim: <= 2.00 whatever the upstream's own");
        Ok(())
    }

    /// Processor time of streamed tokens, the calls around them included.
    pub async fn tokens(&self) -> anyhow::Result<()> {
        println!("\ncpu per streamed token, c=8, 50 tokens each");
        let targets = &self.all()[1..3];
        for gap_ms in [10, 0] {
            let script = Script { first_ms: 0, tokens: 50, gap_ms };
            let seen = measure(self.plan(8, 8, Call::Stream(script)), targets).await?;
            let cpu = |at| seen.cpu_per(at, |round| round.tokens);
            println!(
                "  {gap_ms:>2} ms apart: floor {:.1} µs, router {:.1} µs, x floor {:.2}",
                cpu(0),
                cpu(1),
                cpu(1) / cpu(0)
            );
        }
        println!("  aim: <= 1.40 apart");
        Ok(())
    }

    /// A thousand streams at once: all must come to their end, every token in it.
    pub async fn streams(&self) -> anyhow::Result<()> {
        let (target, process) = &self.router;
        let script = Script { first_ms: 500, tokens: 20, gap_ms: 100 };
        let lines = target.lines(STREAMS, 16).await?;
        let before = process.memory()?.0;
        let (load, _lines) = repeat(lines, Call::Stream(script), Duration::ZERO).await?;
        println!(
            "\n{STREAMS} streams at once: {} whole of {} tokens in {:.2} s; resident {before:.1} MiB before, {:.1} at most",
            load.times.len(),
            load.tokens,
            load.took.as_secs_f64(),
            process.memory()?.1
        );
        Ok(())
    }

    /// Memory after many calls.
    pub async fn memory(&self) -> anyhow::Result<()> {
        let (target, process) = &self.router;
        let most = if self.quick { MEMORY_CALLS / 10 } else { MEMORY_CALLS };
        let (mut lines, mut calls) = (target.lines(64, 64).await?, 0);
        while calls < most {
            let (load, back) = repeat(lines, Call::Unary, Duration::from_secs(1)).await?;
            lines = back;
            calls += load.times.len();
        }
        process.cpu_at_rest().await?;
        let (now, most) = process.memory()?;
        println!(
            "after {calls} more calls: resident {now:.1} MiB, {most:.1} at most; aim: <= 60 after the runs"
        );
        println!("floor: {:.1} MiB", self.floor.1.memory()?.0);
        Ok(())
    }
}

fn ratio(seen: &Seen, router: usize, of: impl Fn(&Seen, usize) -> f64) -> f64 {
    of(seen, router) / of(seen, 1)
}
