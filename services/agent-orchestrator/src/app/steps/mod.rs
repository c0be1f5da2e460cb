//! What each kind of step does, with its one line for people.
mod gather;
mod judge;
mod write;

use super::desk::Desk;
use crate::domain::output::{StepOutput, Work};
use crate::domain::step::StepKey;
use crate::error::StepError;

/// Performs the desk's step: its output and one line on what came of it.
pub(super) async fn perform(desk: Desk<'_>) -> Result<(StepOutput, String), StepError> {
    let (work, summary): (Work, String) = match desk.claim.step {
        StepKey::Research => gather::research(&desk).await?,
        StepKey::BrandAnalysis => gather::brand_analysis(&desk).await?,
        StepKey::Lessons => gather::lessons(&desk).await?,
        StepKey::Strategy => write::strategy(&desk).await?,
        StepKey::Draft => write::draft(&desk).await?,
        StepKey::Revise(n) => write::revise(&desk, n).await?,
        StepKey::Regenerate => write::regenerate(&desk).await?,
        StepKey::Finish => write::finish(&desk).await?,
        StepKey::Review(n) => judge::review(&desk, n).await?,
        StepKey::Guard(_) => judge::guard(&desk).await?,
        StepKey::Rules => judge::rules(&desk).await?,
    };
    Ok((StepOutput { work, made_by: desk.made_by() }, summary))
}

/// An output that the planner promised is not there: a fault of ours.
fn absent(what: &str) -> StepError {
    StepError::fatal("INTERNAL", format!("the step needs {what}, which is not there"))
}

/// `3 passages`, `1 passage`.
fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}
