//! The workshop as its callers and its neighbours know it. One program, for a program per file would link everything
//! anew.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed step must stop the test")]

mod calls;
mod containment;
mod durability;
mod guard;
mod pipeline;
mod rule_packs;
mod support;
mod watch;
