//! Claims, evidence and verdicts: what a text says, and whether its sources say so too.
//!
//! - [`text`] splits text into sentences and words, and finds stems, terms and syllables.
//! - [`check`] judges each sentence of a text by the sources, with evidence and reasons.
//! - [`correct`] mends or drops what a check flags; [`Indexed`] takes the sources of many checks apart once.
//! - [`llm_judge`] says what a judge model is asked and what its answers count for.
//! - [`calibrate`] compares the guard with people and proposes thresholds.
//! - [`model`] fits the weights of a check to judged texts, and measures a check on them.
//! - [`pack`] reads, proves and applies rule packs; [`rules`] applies the built-in ones to what is published.
//! - [`pii`], [`secrets`] and [`inject`] find personal data, keys and attacks; [`fold`] undoes disguises first.
//! - [`measure`] counts how well attacks and personal data are found on labelled rows.
//! - [`contain`] makes text from outside harmless before a model reads it.
//!
//! Nothing here reads a file, a clock or a socket, and nothing but the stems of words is remembered between two calls: the
//! same input gives the same report. The verdicts come from words, numbers and names, not from a language model; [`Verdict::Uncertain`]
//! marks what a judge model should look at.

mod align;
pub mod calibrate;
mod check;
mod class;
pub mod contain;
mod correct;
mod descent;
mod facts;
mod features;
pub mod fold;
mod index;
mod indexed;
pub mod inject;
mod judge;
mod lexicon;
pub mod llm_judge;
pub mod measure;
pub mod model;
mod order;
pub mod pack;
mod phrase;
pub mod pii;
mod rank;
mod report;
pub mod rules;
pub mod secrets;
mod signals;
mod sketch;
pub mod text;
mod wordnet;

pub use check::{check, check_by};
pub use correct::{correct, correct_by};
pub use indexed::Indexed;
pub use report::{
    Claim, Corrected, Correction, Evidence, GUARD_VERSION, Reason, ReasonKind, Report, SentenceClass, Source,
    Thresholds, Verdict,
};
