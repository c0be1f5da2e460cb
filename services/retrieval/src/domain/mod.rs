//! The mind of the library: what a document is, how it is cut, how a search ranks. Pure: no clock, no I/O, no async.
//!
//! Reading order: a stream of parts becomes documents (`upload`), a document becomes passages (`tokens`, `packing`),
//! passages are searched (`index`, `bm25`, `cosine`), and two lists become one (`fusion`, `ranking`).

pub mod records;
pub mod source;
pub mod upload;

pub mod packing;
pub mod reading;
pub mod stages;
pub mod tokens;

pub mod bm25;
pub mod cosine;
pub mod fusion;
pub mod index;
pub mod lens;
pub mod ranking;
