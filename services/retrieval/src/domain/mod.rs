//! The mind of the library: what a document is, how it is cut, how a search ranks. Pure: no clock, no I/O, no async.
//!
//! Reading order: a stream of parts becomes documents (`upload`), a document becomes passages (`tokens`, `packing`) with
//! what they are found by (`terms`, `titled`), passages are searched (`filter`, `index`, `bm25`, `cosine`, `sparse`, `top`; in
//! an index elsewhere: `recalled`), the lists become one (`ranking`, `fusion`, `weights`), the answer is chosen from it
//! (`diversity`, `quota`), and what was not chosen is told why (`inspection`, `verdict`). What is fetched instead of
//! uploaded comes from an `origin`, by the rules of the `web`.

pub mod attributes;
pub mod filter;
pub mod moment;
pub mod records;
pub mod snapshot;
pub mod source;
pub mod upload;

pub mod issue;
pub mod origin;
pub mod repository;
pub mod web;

pub mod packing;
pub mod reading;
pub mod stages;
pub mod terms;
pub mod titled;
pub mod tokens;

pub mod bm25;
pub mod cosine;
pub mod index;
pub mod inspection;
pub mod lens;
pub mod recalled;
mod scan;
pub mod sparse;
pub mod token_weights;

pub mod diversity;
pub mod fusion;
pub mod quick;
pub mod quota;
pub mod ranking;
pub mod top;
pub mod verdict;
pub mod weights;
