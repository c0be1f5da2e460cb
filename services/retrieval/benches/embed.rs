//! Texts per second of processor time of a local model, for lengths of 10, 64 and 256 tokens. Run by hand; only the ratio of
//! runtimes means something, on the same machine in the same minute:
//!
//! `cargo bench -p copydesk-retrieval --bench embed -- FOLDER_OF_ALL_MINILM_L6_V2`
//!
//! With the feature `ort`, the graphs `model.onnx` and `model_int8.onnx` of that folder (`deploy/tools/make_onnx.py`) are run
//! as well, with one thread and with two; `ORT_DYLIB_PATH` names the library. Plain Rust has as many threads as there are
//! processors when several groups of texts are embedded at once; one processor is what `taskset -c 0` leaves it.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench is read by people")]

use std::path::Path;
use std::sync::Arc;

use copydesk_retrieval::embedders::open_local;
use copydesk_retrieval::ports::{Embedder, Purpose};
use copydesk_retrieval::{EmbedderConfig, EmbedderRuntime, OnnxConfig};

/// Seconds of processor time of this process, all threads.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Every way to run the model that this build has, under a name.
fn models(dir: &Path) -> Vec<(String, Arc<dyn Embedder>)> {
    let rust = EmbedderConfig { model_dir: dir.to_owned(), ..EmbedderConfig::default() };
    let library = std::env::var_os("ORT_DYLIB_PATH").unwrap_or_default();
    let mut models = vec![("rust".to_owned(), open_local(&rust, Path::new(&library)).unwrap())];
    for (graph, threads) in
        [("model.onnx", 1), ("model_int8.onnx", 1), ("model.onnx", 2), ("model_int8.onnx", 2)]
    {
        if cfg!(feature = "ort") && dir.join(graph).is_file() {
            let onnx = OnnxConfig { graph: graph.to_owned(), threads, ..OnnxConfig::default() };
            let config = EmbedderConfig { runtime: EmbedderRuntime::Onnxruntime, onnx, ..rust.clone() };
            let model = open_local(&config, Path::new(&library)).unwrap();
            models.push((format!("{graph}, {threads} threads"), model));
        }
    }
    models
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let Some(dir) = std::env::args().nth(1).filter(|argument| !argument.starts_with("--")) else {
        println!("give the folder of a model");
        return;
    };
    let models = models(Path::new(&dir));
    for (name, model) in &models {
        println!("{name}: {} with {} dimensions", model.id(), model.dimensions());
    }
    // One word is one token, and two stand around every text.
    for (tokens, texts) in [(10usize, 1usize), (64, 1), (64, 32), (256, 1), (256, 8)] {
        for (name, model) in &models {
            let text = "house ".repeat(tokens - 2);
            let (mut done, began, wall) = (0, cpu(), std::time::Instant::now());
            while cpu() - began < 3.0 {
                model.embed(vec![text.clone(); texts], Purpose::Document).await.unwrap();
                done += texts;
            }
            let (cpu, wall) = (cpu() - began, wall.elapsed().as_secs_f64());
            let (done, rate) = (done as f64 / cpu, done as f64 / wall);
            println!(
                "{tokens} tokens, {texts} at once, {name}: {done:.1} a second of processor time, {rate:.1} a second"
            );
        }
    }
}
