//! Reads one document and ends, as `copydesk parse-child` does: for the tests of this crate, which are no program that
//! could start itself again.

use std::process::ExitCode;

fn main() -> ExitCode {
    if copydesk_retrieval::run_parse_child() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
