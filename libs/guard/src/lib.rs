//! Claims, evidence and verdicts: what a text says, and whether its sources say so too.
//!
//! [`text`] splits and measures.
//!
//! Nothing here reads a file, a clock or a socket, and nothing is remembered between two calls.

pub mod text;
