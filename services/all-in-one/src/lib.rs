//! The program: five services in one process or each in its own, and the commands to use them.
//!
//! `mesh` builds the services bottom-up and wires their channels; only this crate knows whether a peer is local.
//! `commands` is what the `copydesk` binary offers. Nothing of the product's work is here.
// A command's output is its purpose.
#![allow(clippy::print_stdout, clippy::print_stderr)]

/// A line on standard output; what came of it is an `io::Result`.
macro_rules! outln {
    ($($words:tt)*) => { $crate::out::line(format_args!($($words)*)) };
}

pub mod cli;
mod client;
pub mod commands;
pub mod config;
pub mod demo;
mod desk;
pub mod documents;
mod eval;
mod guard;
pub mod identity;
pub mod mesh;
mod out;
mod reload;
mod safety;
mod show;
