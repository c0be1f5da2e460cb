//! What the router adds to a call, against the least that a gRPC proxy can add, in the same run.
//!
//! `cargo bench -p copydesk-llm-router --bench overhead [-- --quick] [-- unary|first|tokens|streams|memory …]`
//!
//! Four parts, each a process of its own, speaking over loopback:
//! - the upstream: a provider that speaks OpenAI's protocol and answers as the prompt tells it;
//! - the floor: the same contract served by tonic, the same protocol asked for by hyper, and nothing between;
//! - the router: the service behind its layers, with its telemetry, its SQLite file and its queue on the disk;
//! - this process, which calls: `direct` the upstream with a bare HTTP client, and floor and router with tonic's.
//!
//! Floor and router have one core (the first), the upstream and the callers another (the second), where `taskset` is
//! there. Rounds are short and all take turns, so that other load on the machine falls on all of them.
//!
//! How to read it:
//! - `added` is a target minus `direct` in the same round, its median over the rounds. The callers' own gRPC is in it, for
//!   floor and router alike. `x floor` is the router's added in units of the floor's: the figure to compare between
//!   machines and commits; microseconds are not.
//! - `cpu` is processor time of the whole process, what it does after the answers included, and the steadiest figure on a
//!   busy machine. A core can do no more calls than a second has of it, so where callers and upstream are slower than the
//!   floor, the ratio of rates flatters the router and that of cpu does not.
//! - `router+id` is the same with a request id: each answer is stored before it is given.
#![allow(clippy::print_stdout, reason = "the figures are its purpose")]

mod client;
mod floor;
mod load;
mod measure;
mod parts;
mod process;
mod router;
mod script;
mod upstream;

use anyhow::{Context, bail};
use tokio::net::TcpListener;

use parts::Bench;

/// The program's own, for every part alike.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The word before the name of a part that this program is started for.
const ROLE: &str = "--role";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let [ROLE, role, rest @ ..] = arguments.as_slice() {
        // As the program's own: as many threads as it has cores.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        return runtime.block_on(serve(role, rest));
    }
    // `cargo test --all-targets` starts benches too, and must not wait for one.
    if !arguments.contains(&"--bench") {
        println!("nothing measured: run it with `cargo bench`");
        return Ok(());
    }
    if process::can_pin() {
        process::pin_self(parts::CALLERS)?;
    } else {
        println!("no second core or no taskset: all share what there is");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run(&arguments))
}

async fn serve(role: &str, rest: &[&str]) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    match (role, rest) {
        ("upstream", []) => {
            process::ready(&address, &[]);
            upstream::serve(listener).await
        }
        ("floor", [upstream]) => {
            process::ready(&address, &[]);
            floor::serve(listener, upstream).await
        }
        ("router", [upstream, folder]) => {
            let ready = |tokens: Vec<String>| process::ready(&address, &tokens);
            router::serve(listener, upstream, folder.as_ref(), ready).await
        }
        _ => bail!("there is no part {role} {rest:?}"),
    }
}

async fn run(arguments: &[&str]) -> anyhow::Result<()> {
    let wanted: Vec<&str> = arguments.iter().copied().filter(|word| !word.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
    let folder = tempfile::tempdir()?;
    let path = folder.path().to_str().context("no path")?;
    let bench = Bench::start(path, arguments.contains(&"--quick"))?;
    if is_wanted("unary") {
        bench.unary().await?;
    }
    if is_wanted("first") {
        bench.first_token().await?;
    }
    if is_wanted("tokens") {
        bench.tokens().await?;
    }
    if is_wanted("streams") {
        bench.streams().await?;
    }
    if is_wanted("memory") {
        bench.memory().await?;
    }
    Ok(())
}
