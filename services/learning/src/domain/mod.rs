//! The mind of the archive: pure functions over plain values. No clock, no socket, no database, no model.
//!
//! Reading order: what is stored ([`brand`], [`outcome`], [`feedback`], [`lesson`]), how a verdict becomes lessons
//! ([`mod@derive`], [`learning`]), how lessons are found again ([`relevance`]), how a voice is measured ([`metrics`]).

#[macro_use]
mod coded;

pub mod accuracy;
pub mod brand;
pub mod derive;
pub mod feedback;
pub mod fingerprint;
pub mod learning;
pub mod lesson;
pub mod metrics;
pub mod outcome;
pub mod prose;
pub mod relevance;
