//! What a run is and how it goes on, decided without clock, socket or randomness.
//!
//! Start at [`plan`]: the whole workflow is one pure function from finished steps to next steps.

pub mod backoff;
pub mod compose;
pub mod direction;
pub mod outcome;
pub mod output;
pub mod passage;
pub mod plan;
pub mod policy;
pub mod result;
pub mod run;
pub mod safety;
pub mod spec;
pub mod step;

/// A number of things, as messages and rows have it.
pub(crate) fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
