//! Closed loops: every caller makes its next call when the last one is answered.
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Line;
use crate::script::Script;

/// Nanoseconds: from one microsecond to a minute, three digits.
const BOUNDS: (u64, u64, u8) = (1_000, 60_000_000_000, 3);

/// Calls in some time.
pub struct Load {
    /// How long each took, or until its first token, in nanoseconds.
    pub times: Histogram<u64>,
    /// Tokens that came.
    pub tokens: u64,
    /// From the first call to the last answer.
    pub took: Duration,
}

/// What every call is.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// A whole answer.
    Unary,
    /// A stream.
    Stream(Script),
}

/// No times yet.
pub fn histogram() -> anyhow::Result<Histogram<u64>> {
    let (low, high, digits) = BOUNDS;
    Ok(Histogram::new_with_bounds(low, high, digits)?)
}

/// Calls over these lines for so long; a call that has begun is waited for. One failure ends it all. Gives the lines
/// back, to be used again.
pub async fn repeat(lines: Vec<Line>, call: Call, length: Duration) -> anyhow::Result<(Load, Vec<Line>)> {
    let began = Instant::now();
    let end = began + length;
    let mut running = JoinSet::new();
    for line in lines {
        running.spawn(one(line, call, end));
    }
    let mut load = Load { times: histogram()?, tokens: 0, took: Duration::ZERO };
    let mut lines = Vec::new();
    while let Some(done) = running.join_next().await {
        let (times, tokens, line) = done??;
        load.times.add(times)?;
        load.tokens += tokens;
        lines.push(line);
    }
    load.took = began.elapsed();
    Ok((load, lines))
}

async fn one(mut line: Line, call: Call, end: Instant) -> anyhow::Result<(Histogram<u64>, u64, Line)> {
    let (mut times, mut tokens) = (histogram()?, 0);
    loop {
        let began = Instant::now();
        let took = match call {
            Call::Unary => {
                line.unary().await?;
                began.elapsed()
            }
            Call::Stream(script) => {
                let heard = line.stream(script).await?;
                tokens += heard.tokens;
                heard.first
            }
        };
        times.saturating_record(u64::try_from(took.as_nanos())?);
        if Instant::now() >= end {
            return Ok((times, tokens, line));
        }
    }
}
