//! `copydesk`: see `copydesk --help`.
use std::process::ExitCode;

use clap::Parser;
use copydesk_all_in_one::cli::Cli;

/// Faster than the system's for many small pieces, and it gives memory back after a burst.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // The library starts this program again to read one document apart. That comes before everything else: the reader is
    // no command, and has neither settings nor a runtime.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == copydesk_retrieval::PARSE_CHILD) {
        return if copydesk_retrieval::run_parse_child() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    copydesk_all_in_one::commands::run(Cli::parse())
}
