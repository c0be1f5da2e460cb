//! A BERT-type sentence model from a local folder, on the processor: mean of the last layer's vectors, length 1.
//!
//! Nothing is fetched. The weights are read into memory, not mapped: mapping needs `unsafe`, which this workspace
//! forbids.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, DTYPE};
use tokenizers::{PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};
use tokio::sync::Semaphore;

use crate::ports::{EmbedError, Embedder};

/// What a model's folder must hold.
pub(crate) const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// Longest text that is read, in the model's own tokens; the rest is cut off. Children stay far below it.
const LONGEST: usize = 512;

/// A loaded model.
pub(crate) struct LocalEmbedder {
    id: String,
    model: Arc<Model>,
    /// One text batch per processor: more at once would only take more memory.
    turns: Semaphore,
}

struct Model {
    bert: BertModel,
    tokenizer: Tokenizer,
}

impl LocalEmbedder {
    /// Loads a model; it is named `local/` and the folder's name in lower case.
    pub(crate) fn open(dir: &Path) -> Result<Self, EmbedError> {
        let name = dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let read = |file: &str| {
            std::fs::read(dir.join(file)).map_err(|error| failed(format!("{file} cannot be read: {error}")))
        };
        let [config, tokenizer, weights] = FILES;
        let config: Config = serde_json::from_slice(&read(config)?)
            .map_err(|error| failed(format!("config.json is not of a BERT model: {error}")))?;
        let mut tokenizer = Tokenizer::from_bytes(read(tokenizer)?)
            .map_err(|error| failed(format!("tokenizer.json cannot be used: {error}")))?;
        let max_length = config.max_position_embeddings.min(LONGEST);
        let pad_id = tokenizer.get_padding().map_or(config.pad_token_id as u32, |padding| padding.pad_id);
        let padding =
            PaddingParams { strategy: PaddingStrategy::BatchLongest, pad_id, ..PaddingParams::default() };
        tokenizer.with_padding(Some(padding));
        let truncation = TruncationParams { max_length, ..TruncationParams::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| failed(format!("tokenizer.json cannot be used: {error}")))?;
        let weights =
            VarBuilder::from_buffered_safetensors(read(weights)?, DTYPE, &Device::Cpu).map_err(model)?;
        let bert = BertModel::load(weights, &config).map_err(model)?;
        let turns = Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from));
        Ok(Self { id: format!("local/{name}"), model: Arc::new(Model { bert, tokenizer }), turns })
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    async fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        let _turn = self.turns.acquire().await.map_err(|error| failed(error.to_string()))?;
        let model = Arc::clone(&self.model);
        let work = tokio::task::spawn_blocking(move || model.embed(texts));
        work.await.map_err(|error| failed(error.to_string()))?
    }
}

impl Model {
    fn embed(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>, EmbedError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let encoded = self.tokenizer.encode_batch(texts, true).map_err(|error| failed(error.to_string()))?;
        let ids: Vec<&[u32]> = encoded.iter().map(|text| text.get_ids()).collect();
        let masks: Vec<&[u32]> = encoded.iter().map(|text| text.get_attention_mask()).collect();
        self.forward(&ids, &masks).map_err(model)
    }

    fn forward(&self, ids: &[&[u32]], masks: &[&[u32]]) -> candle_core::Result<Vec<Vec<f32>>> {
        let width = ids.first().map_or(0, |ids| ids.len());
        let ids = Tensor::from_vec(ids.concat(), (ids.len(), width), &Device::Cpu)?;
        let mask = Tensor::from_vec(masks.concat(), (masks.len(), width), &Device::Cpu)?;
        let hidden = self.bert.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
        let sum = hidden.broadcast_mul(&mask)?.sum(1)?;
        let mean = sum.broadcast_div(&mask.sum(1)?)?;
        let norm = mean.sqr()?.sum_keepdim(1)?.sqrt()?;
        mean.broadcast_div(&norm)?.to_vec2()
    }
}

fn model(error: candle_core::Error) -> EmbedError {
    failed(format!("the model cannot be used: {error}"))
}

fn failed(reason: String) -> EmbedError {
    EmbedError { reason }
}

#[cfg(test)]
mod tests {
    use candle_nn::VarMap;

    use super::*;

    const CONFIG: &str = r#"{
        "vocab_size": 9, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "max_position_embeddings": 12, "type_vocab_size": 2, "initializer_range": 0.02,
        "layer_norm_eps": 1e-12, "pad_token_id": 0, "model_type": "bert"
    }"#;

    const TOKENIZER: &str = r#"{
        "version": "1.0", "truncation": null, "added_tokens": [],
        "padding": {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"},
        "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": {"[PAD]": 0, "[UNK]": 1, "cold": 2,
            "van": 3, "truck": 4, "warm": 5, "house": 6, "the": 7, "a": 8}}
    }"#;

    /// A model with random weights, in the form in which real ones come.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let weights = VarMap::new();
        let builder = VarBuilder::from_varmap(&weights, DTYPE, &Device::Cpu);
        BertModel::load(builder, &serde_json::from_str(CONFIG).unwrap()).unwrap();
        weights.save(dir.path().join("model.safetensors")).unwrap();
        std::fs::write(dir.path().join("config.json"), CONFIG).unwrap();
        std::fs::write(dir.path().join("tokenizer.json"), TOKENIZER).unwrap();
        dir
    }

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[tokio::test]
    async fn vectors_are_units_and_company_does_not_change_them() {
        let dir = folder();
        let embedder = LocalEmbedder::open(dir.path()).unwrap();
        assert!(embedder.id().starts_with("local/"));
        let long = "cold van ".repeat(500);
        let together = embedder.embed(texts(&["Cold van", "warm house", &long, "house"])).await.unwrap();
        let alone = embedder.embed(texts(&["cold VAN"])).await.unwrap();
        assert_eq!((together.len(), alone[0].len()), (4, 8));
        for vector in &together {
            let norm: f32 = vector.iter().map(|value| value * value).sum();
            assert!((norm - 1.0).abs() < 1e-5, "{norm}");
        }
        let apart =
            |other: &[f32]| alone[0].iter().zip(other).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart(&together[0]) < 1e-5, "padding is masked");
        assert!(apart(&together[1]) > 1e-3);
        assert!(embedder.embed(Vec::new()).await.unwrap().is_empty());
    }

    #[test]
    fn a_folder_that_is_no_model_is_refused_with_the_file_named() {
        let dir = folder();
        for (file, broken) in [("config.json", "{}"), ("tokenizer.json", "{}"), ("model.safetensors", "x")] {
            let good = std::fs::read(dir.path().join(file)).unwrap();
            std::fs::write(dir.path().join(file), broken).unwrap();
            let reason = LocalEmbedder::open(dir.path()).err().unwrap().reason;
            let word = file.split('.').next().unwrap();
            assert!(reason.contains(word), "{file}: {reason}");
            std::fs::write(dir.path().join(file), good).unwrap();
        }
        let config = crate::EmbedderConfig { model_dir: dir.path().to_owned() };
        assert_eq!(crate::embedders::fault(&config), None);
        std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
        assert!(crate::embedders::fault(&config).unwrap().contains("tokenizer.json"));
    }
}
