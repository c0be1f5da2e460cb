//! What finished steps leave behind.
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::direction::Lesson;
use super::passage::{Passage, WebNote};
use super::safety::Checked;
use super::step::StepKey;

/// The outputs of the finished steps of one run: all that the planner knows.
pub type Finished = BTreeMap<StepKey, StepOutput>;

/// A step's output with its traces of model use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepOutput {
    /// What was made.
    pub work: Work,
    /// Which models made it.
    #[serde(default)]
    pub made_by: MadeBy,
}

/// What was made, by kind of step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Of `research`.
    Research(Research),
    /// Of `brand_analysis`.
    BrandAnalysis(BrandAnalysis),
    /// Of `lessons`.
    Lessons {
        /// Best first.
        lessons: Vec<Lesson>,
    },
    /// Of `strategy`.
    Strategy(Strategy),
    /// Of `draft.1`, `revise.n` and `regenerate.1`.
    Draft {
        /// The text.
        text: String,
    },
    /// Of `review.n`.
    Review(Review),
    /// Of `finish`.
    Finish(Finish),
    /// Of `guard.n`.
    Guard(Box<Checked>),
    /// Of `rules`.
    Rules {
        /// The rules that the final text breaks.
        violations: Vec<RuleViolation>,
    },
}

/// What the knowledge bases say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Research {
    /// The evidence, best first.
    pub passages: Vec<Passage>,
    /// What it says, by passage.
    pub findings: Vec<Finding>,
    /// `lexical` or `hybrid`.
    pub search_mode: String,
    /// What the web says, where the run allows to ask it: no evidence.
    #[serde(default)]
    pub web: Vec<WebNote>,
}

/// One statement of the evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In words.
    pub statement: String,
    /// Where, `psg_…`.
    pub passage_id: String,
}

/// How the brand writes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrandAnalysis {
    /// What an analyst sees in the brand's texts.
    pub observations: Vec<String>,
    /// The measured figures as one line; empty when there are none.
    pub figures: String,
}

/// Angles for the text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    /// The proposals.
    pub angles: Vec<Angle>,
    /// Which of them, from 0.
    pub chosen: usize,
}

/// One way to tell it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Angle {
    /// In a few words.
    pub title: String,
    /// Why it would work.
    pub reason: String,
}

impl Strategy {
    /// The chosen angle in words; empty when there is none.
    pub fn angle(&self) -> String {
        self.angles.get(self.chosen).or(self.angles.first()).map(|a| a.title.clone()).unwrap_or_default()
    }
}

/// A reviewer's word on a draft.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// 0 to 10.
    pub score: f64,
    /// What to mend.
    pub notes: Vec<String>,
}

/// What is set around a finished draft.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// A first sentence that makes people read on; may be empty.
    pub hook: String,
    /// Hashtags, with or without `#`.
    pub hashtags: Vec<String>,
    /// One line that sums the text up.
    pub caption: String,
}

/// A broken rule of published text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleViolation {
    /// The rule's id.
    pub rule: String,
    /// True when the text may not be published so.
    pub blocking: bool,
    /// First byte in the text.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// For a person to read.
    pub message: String,
}

/// Which models made a step's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeBy {
    /// In order of first use.
    pub models: Vec<String>,
    /// Why the output is degraded; `None` when it is not.
    pub degraded: Option<String>,
}

impl MadeBy {
    /// Notes one more call.
    pub fn note(&mut self, model: &str, degraded: Option<&str>) {
        if !model.is_empty() && !self.models.iter().any(|known| known == model) {
            self.models.push(model.to_owned());
        }
        if self.degraded.is_none() {
            self.degraded = degraded.map(str::to_owned);
        }
    }
}

impl From<Work> for StepOutput {
    /// Made without a model.
    fn from(work: Work) -> Self {
        Self { work, made_by: MadeBy::default() }
    }
}

/// The research of a run, when it is finished.
pub fn research(finished: &Finished) -> Option<&Research> {
    match &finished.get(&StepKey::Research)?.work {
        Work::Research(research) => Some(research),
        _ => None,
    }
}

/// The lessons of a run; none before they were fetched.
pub fn lessons(finished: &Finished) -> &[Lesson] {
    match finished.get(&StepKey::Lessons).map(|output| &output.work) {
        Some(Work::Lessons { lessons }) => lessons,
        _ => &[],
    }
}

/// The brand analysis of a run, when it is finished.
pub fn brand_analysis(finished: &Finished) -> Option<&BrandAnalysis> {
    match &finished.get(&StepKey::BrandAnalysis)?.work {
        Work::BrandAnalysis(analysis) => Some(analysis),
        _ => None,
    }
}

/// The strategy of a run, when it is finished.
pub fn strategy(finished: &Finished) -> Option<&Strategy> {
    match &finished.get(&StepKey::Strategy)?.work {
        Work::Strategy(strategy) => Some(strategy),
        _ => None,
    }
}

/// The text of a drafting step, when it is finished.
pub fn draft(finished: &Finished, key: StepKey) -> Option<&str> {
    match &finished.get(&key)?.work {
        Work::Draft { text } => Some(text),
        _ => None,
    }
}

/// The n-th review, when it is finished.
pub fn review(finished: &Finished, n: u32) -> Option<&Review> {
    match &finished.get(&StepKey::Review(n))?.work {
        Work::Review(review) => Some(review),
        _ => None,
    }
}

/// What is set around the draft, when it is finished.
pub fn finish(finished: &Finished) -> Option<&Finish> {
    match &finished.get(&StepKey::Finish)?.work {
        Work::Finish(finish) => Some(finish),
        _ => None,
    }
}

/// The n-th check, when it is finished.
pub fn guard(finished: &Finished, n: u32) -> Option<&Checked> {
    match &finished.get(&StepKey::Guard(n))?.work {
        Work::Guard(checked) => Some(checked),
        _ => None,
    }
}

/// The latest check.
pub fn last_guard(finished: &Finished) -> Option<&Checked> {
    guard(finished, 2).or_else(|| guard(finished, 1))
}

/// The broken rules, when they were looked for.
pub fn rules(finished: &Finished) -> Option<&[RuleViolation]> {
    match &finished.get(&StepKey::Rules)?.work {
        Work::Rules { violations } => Some(violations),
        _ => None,
    }
}
