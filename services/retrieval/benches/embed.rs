//! Texts per second of processor time of a local model, for lengths of 10, 64 and 256 tokens. Run by hand, beside
//! another runtime on the same machine in the same minute; only the ratio means something:
//!
//! `cargo bench -p copydesk-retrieval --bench embed -- FOLDER_OF_ALL_MINILM_L6_V2`

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench is read by people")]

use copydesk_retrieval::EmbedderConfig;
use copydesk_retrieval::embedders::open_local;
use copydesk_retrieval::ports::Purpose;

/// Seconds of processor time of this process, all threads.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let Some(dir) = std::env::args().nth(1).filter(|argument| !argument.starts_with("--")) else {
        println!("give the folder of a model");
        return;
    };
    let model = open_local(&EmbedderConfig { model_dir: dir.into(), ..EmbedderConfig::default() }).unwrap();
    println!("{} with {} dimensions", model.id(), model.dimensions());
    // One word is one token, and two stand around every text.
    for (tokens, texts) in [(10usize, 1usize), (64, 1), (64, 32), (256, 1), (256, 8)] {
        let text = "house ".repeat(tokens - 2);
        let (mut done, began, wall) = (0, cpu(), std::time::Instant::now());
        while cpu() - began < 3.0 {
            model.embed(vec![text.clone(); texts], Purpose::Document).await.unwrap();
            done += texts;
        }
        let (cpu, wall) = (cpu() - began, wall.elapsed().as_secs_f64());
        let (done, rate) = (done as f64 / cpu, done as f64 / wall);
        println!(
            "{tokens} tokens, {texts} at once: {done:.1} a second of processor time, {rate:.1} a second"
        );
    }
}
