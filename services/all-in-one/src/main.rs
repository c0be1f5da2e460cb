//! `copydesk`: see `copydesk --help`.
use std::process::ExitCode;

use clap::Parser;
use copydesk_all_in_one::cli::Cli;

fn main() -> ExitCode {
    copydesk_all_in_one::commands::run(Cli::parse())
}
