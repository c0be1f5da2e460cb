//! The mind of the library: what a document is, how it is cut, how a search ranks. Pure: no clock, no I/O, no async.
//!
//! Reading order: a stream of parts becomes documents (`upload`), a document becomes passages (`tokens`, `packing`),
//! passages are searched (`index`, `bm25`, `cosine`), two lists become one (`ranking`, `fusion`, `weights`), the answer is
//! chosen from it (`diversity`, `quota`), and what was not chosen is told why (`inspection`, `verdict`).

pub mod records;
pub mod source;
pub mod upload;

pub mod packing;
pub mod stages;
pub mod tokens;

pub mod bm25;
pub mod cosine;
pub mod index;
pub mod inspection;
pub mod lens;

pub mod diversity;
pub mod fusion;
pub mod quota;
pub mod ranking;
pub mod verdict;
pub mod weights;
