//! What the upstream is asked to do. It stands in the prompt, so that every way to the upstream carries it.
use std::fmt;
use std::time::Duration;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// The wait before anything is sent, in milliseconds.
    pub first_ms: u64,
    /// Tokens of a stream.
    pub tokens: u64,
    /// From one token to the next, in milliseconds.
    pub gap_ms: u64,
}

/// What follows the script in a prompt, so that a request has about 270 bytes.
const REST: &str = "Summarise in one sentence what changed in the cold chain between the two reports, \
    and name the figure that changed most. Be brief.";

impl Script {
    /// A whole answer at once.
    pub const AT_ONCE: Self = Self { first_ms: 0, tokens: 0, gap_ms: 0 };

    /// The script in a prompt or a body that holds one.
    pub fn find(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let (_, text) = text.split_once("script ")?;
        let mut numbers = text.split(' ').map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(Self { first_ms: number()?, tokens: number()?, gap_ms: number()? })
    }

    /// When the token with this number is due after the first one.
    pub fn gap(self, token: u64) -> Duration {
        Duration::from_millis(self.gap_ms * token)
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "script {} {} {} . {REST}", self.first_ms, self.tokens, self.gap_ms)
    }
}
