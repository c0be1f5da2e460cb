//! Rounds in which all targets take turns, so that other load on the machine falls on all of them.
use std::time::Duration;

use crate::client::Target;
use crate::load::{Call, repeat};
use crate::process::Process;

/// Who is measured, and the process in which it works; the upstream alone has none.
pub type Measured<'a> = (&'a Target, Option<&'a Process>);

/// What is done in each round.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Callers at once.
    pub callers: usize,
    /// Connections that they share, for gRPC.
    pub connections: usize,
    /// What each calls.
    pub call: Call,
    /// How often.
    pub rounds: usize,
    /// How long each time.
    pub length: Duration,
}

/// One target in one round.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Microseconds of a call, or until its first token: median and 99th percentile.
    pub p50: f64,
    /// The same, 99th percentile.
    pub p99: f64,
    /// Calls a second.
    pub rate: f64,
    /// Calls.
    pub calls: u64,
    /// Tokens.
    pub tokens: u64,
    /// Microseconds of processor time, what is done after the answers included.
    pub cpu: f64,
}

/// For each target its rounds.
pub struct Seen(Vec<Vec<Round>>);

/// Measures; a first round of each warms it and is thrown away.
pub async fn measure(plan: Plan, targets: &[Measured<'_>]) -> anyhow::Result<Seen> {
    let mut seen: Vec<Vec<Round>> = targets.iter().map(|_| Vec::new()).collect();
    let mut ways = Vec::new();
    for (target, process) in targets {
        let lines = target.lines(plan.callers, plan.connections).await?;
        ways.push(round(plan, lines, *process).await?.1);
    }
    for number in 0..plan.rounds {
        // Each is first and last equally often: who follows whom must not matter.
        for turn in 0..targets.len() {
            let at = (number + turn) % targets.len();
            let (round, lines) = round(plan, std::mem::take(&mut ways[at]), targets[at].1).await?;
            ways[at] = lines;
            seen[at].push(round);
        }
    }
    Ok(Seen(seen))
}

async fn round(
    plan: Plan,
    lines: Vec<crate::client::Line>,
    process: Option<&Process>,
) -> anyhow::Result<(Round, Vec<crate::client::Line>)> {
    let before = process.map(Process::cpu).transpose()?.unwrap_or_default();
    let (load, lines) = repeat(lines, plan.call, plan.length).await?;
    let after = match process {
        Some(process) => process.cpu_at_rest().await?,
        None => before,
    };
    let micros = |quantile| load.times.value_at_quantile(quantile) as f64 / 1_000.0;
    let calls = load.times.len();
    let round = Round {
        p50: micros(0.5),
        p99: micros(0.99),
        rate: calls as f64 / load.took.as_secs_f64(),
        calls,
        tokens: load.tokens,
        cpu: (after - before).as_secs_f64() * 1e6,
    };
    Ok((round, lines))
}

impl Seen {
    /// The median over rounds of a figure of one target.
    pub fn median(&self, target: usize, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.0[target].iter().map(of).collect())
    }

    /// The median over rounds of what a target has more than the first one.
    pub fn added(&self, target: usize, of: impl Fn(&Round) -> f64) -> f64 {
        median(self.0[target].iter().zip(&self.0[0]).map(|(one, direct)| of(one) - of(direct)).collect())
    }

    /// Processor time over all rounds, for each of what is counted. The clock is too coarse for one round.
    pub fn cpu_per(&self, target: usize, of: impl Fn(&Round) -> u64) -> f64 {
        let rounds = &self.0[target];
        let count: u64 = rounds.iter().map(of).sum();
        rounds.iter().map(|round| round.cpu).sum::<f64>() / count.max(1) as f64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
