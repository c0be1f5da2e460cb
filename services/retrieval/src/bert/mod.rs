//! The encoder of BERT-type models in plain Rust: tokens in, one vector for each token out.
//!
//! Nothing is padded. The tokens of several texts stand one after the other in one matrix, so the large products see
//! them as one; only attention goes text by text. So company changes neither a text's cost nor its vectors.
//!
//! Not here: tokens and pooling (`embedders/local.rs`); other architectures than BERT, RoBERTa and XLM-RoBERTa, which
//! differ in where their positions begin.

mod math;
mod matrix;
mod weights;
mod wordpiece;

use serde::Deserialize;

pub(crate) use math::normalize;
use matrix::{Left, Packed, Scratch, add_product};
use weights::Weights;
pub(crate) use wordpiece::WordPiece;
#[cfg(feature = "ort")]
pub(crate) use wordpiece::frame;

/// A model cannot be used, for this reason.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BertError(pub(crate) String);

/// What `config.json` says of the model.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Shape {
    model_type: String,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    max_position_embeddings: usize,
    #[serde(default = "gelu")]
    hidden_act: String,
    #[serde(default = "epsilon")]
    layer_norm_eps: f32,
    #[serde(default)]
    pad_token_id: usize,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

fn gelu() -> String {
    "gelu".to_owned()
}

fn epsilon() -> f32 {
    1e-12
}

impl Shape {
    /// Reads and checks a `config.json`.
    pub(crate) fn read(json: &[u8]) -> Result<Self, BertError> {
        let shape: Self = serde_json::from_slice(json)
            .map_err(|error| BertError(format!("it is not of a BERT model: {error}")))?;
        let faults = [
            (
                !["bert", "roberta", "xlm-roberta"].contains(&shape.model_type.as_str()),
                "model_type",
                &shape.model_type,
            ),
            (shape.hidden_act != "gelu", "hidden_act", &shape.hidden_act),
        ];
        if let Some((_, key, value)) = faults.into_iter().find(|(fault, ..)| *fault) {
            return Err(BertError(format!("{key} {value} is not supported")));
        }
        if shape.position_embedding_type.as_deref().is_some_and(|kind| kind != "absolute") {
            return Err(BertError("only absolute positions are supported".to_owned()));
        }
        let heads = shape.num_attention_heads;
        if heads == 0
            || shape.hidden_size == 0
            || !shape.hidden_size.is_multiple_of(heads)
            || shape.longest() == 0
        {
            return Err(BertError("hidden_size, num_attention_heads and positions do not fit".to_owned()));
        }
        Ok(shape)
    }

    /// The most tokens of a text.
    pub(crate) fn longest(&self) -> usize {
        self.max_position_embeddings.saturating_sub(self.first_position())
    }

    /// RoBERTa counts positions from the one after that of its padding.
    fn first_position(&self) -> usize {
        if self.model_type == "bert" { 0 } else { self.pad_token_id + 1 }
    }
}

/// The tensor that every model has.
const WORDS: &str = "embeddings.word_embeddings.weight";

/// What makes a number of a token's vector: one row of weights and what is added.
pub(crate) struct Head {
    weights: Vec<f32>,
    bias: f32,
}

impl Head {
    /// Reads the tensors `weight` and `bias` of a safetensors file, for vectors of this width.
    pub(crate) fn read(bytes: &[u8], width: usize) -> Result<Self, BertError> {
        let tensors = Weights::read(bytes, "weight")?;
        let weights = tensors.get("weight", &[1, width])?;
        let bias = tensors.get("bias", &[1])?.into_iter().sum();
        Ok(Self { weights, bias })
    }

    /// The length of the vectors.
    #[cfg(feature = "ort")]
    pub(crate) fn width(&self) -> usize {
        self.weights.len()
    }

    /// The number of a token's vector.
    pub(crate) fn of(&self, row: &[f32]) -> f32 {
        let products = self.weights.iter().zip(row).map(|(weight, value)| weight * value);
        products.sum::<f32>() + self.bias
    }
}

/// A loaded model.
pub(crate) struct Bert {
    shape: Shape,
    words: Vec<f32>,
    /// The embedding of each position, with that of the only token type of a single text added.
    positions: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

struct Layer {
    attention: Linear,
    attended: Linear,
    attended_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

struct Linear {
    weights: Packed,
    bias: Vec<f32>,
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Bert {
    /// Reads the weights of a model.
    pub(crate) fn read(shape: Shape, bytes: &[u8]) -> Result<Self, BertError> {
        let weights = Weights::read(bytes, WORDS)?;
        let width = shape.hidden_size;
        let words = weights.rows(WORDS, Some(width))?;
        let mut positions =
            weights.get("embeddings.position_embeddings.weight", &[shape.max_position_embeddings, width])?;
        let kinds = weights.rows("embeddings.token_type_embeddings.weight", Some(width))?;
        for position in positions.chunks_exact_mut(width) {
            for (to, kind) in position.iter_mut().zip(&kinds) {
                *to += kind;
            }
        }
        let norm = Norm::read(&weights, "embeddings.LayerNorm", width)?;
        let layers = (0..shape.num_hidden_layers).map(|at| Layer::read(&weights, &shape, at));
        let layers = layers.collect::<Result<_, _>>()?;
        Ok(Self { shape, words, positions, norm, layers })
    }

    /// The length of a token's vector.
    pub(crate) fn width(&self) -> usize {
        self.shape.hidden_size
    }

    /// What the model's last layer says of every token: for each text its tokens' vectors one after the other. A text
    /// has 1 to `longest` tokens; ids beyond the vocabulary and tokens beyond `longest` are errors.
    pub(crate) fn encode(&self, texts: &[&[u32]]) -> Result<Vec<f32>, BertError> {
        let mut hidden = self.embeddings(texts)?;
        let mut room = Room::default();
        for layer in &self.layers {
            layer.run(&self.shape, texts, &mut hidden, &mut room);
        }
        Ok(hidden)
    }

    fn embeddings(&self, texts: &[&[u32]]) -> Result<Vec<f32>, BertError> {
        let width = self.shape.hidden_size;
        let tokens = texts.iter().map(|text| text.len()).sum::<usize>();
        let mut hidden = Vec::with_capacity(tokens * width);
        for text in texts {
            if text.is_empty() || text.len() > self.shape.longest() {
                return Err(BertError(format!("a text has {} tokens", text.len())));
            }
            let positions = self.positions.chunks_exact(width).skip(self.shape.first_position());
            for (id, position) in text.iter().zip(positions) {
                let start = *id as usize * width;
                let word = self.words.get(start..start + width);
                let word = word.ok_or_else(|| BertError(format!("there is no token {id}")))?;
                hidden.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        self.norm.run(&mut hidden, &self.shape);
        Ok(hidden)
    }
}

/// Memory that the layers use one after the other.
#[derive(Default)]
struct Room {
    projected: Vec<f32>,
    context: Vec<f32>,
    inner: Vec<f32>,
    scores: Vec<f32>,
    keys: Packed,
    values: Packed,
    scratch: Scratch,
}

impl Layer {
    fn read(weights: &Weights<'_>, shape: &Shape, at: usize) -> Result<Self, BertError> {
        let (width, inner) = (shape.hidden_size, shape.intermediate_size);
        let name = |part: &str| format!("encoder.layer.{at}.{part}");
        Ok(Self {
            attention: Self::read_attention(weights, shape, at)?,
            attended: Linear::read(weights, &name("attention.output.dense"), width, width)?,
            attended_norm: Norm::read(weights, &name("attention.output.LayerNorm"), width)?,
            up: Linear::read(weights, &name("intermediate.dense"), width, inner)?,
            down: Linear::read(weights, &name("output.dense"), inner, width)?,
            norm: Norm::read(weights, &name("output.LayerNorm"), width)?,
        })
    }

    /// Queries, keys and values in one product. What scores are divided by is divided here, once.
    fn read_attention(weights: &Weights<'_>, shape: &Shape, at: usize) -> Result<Linear, BertError> {
        let width = shape.hidden_size;
        let (mut rows, mut bias) = (Vec::with_capacity(3 * width * width), Vec::with_capacity(3 * width));
        let scale = 1.0 / ((width / shape.num_attention_heads) as f32).sqrt();
        for (part, scale) in [("query", scale), ("key", 1.0), ("value", 1.0)] {
            let name = format!("encoder.layer.{at}.attention.self.{part}");
            let values = weights.get(&format!("{name}.weight"), &[width, width])?;
            rows.extend(values.into_iter().map(|value| value * scale));
            let values = weights.get(&format!("{name}.bias"), &[width])?;
            bias.extend(values.into_iter().map(|value| value * scale));
        }
        Ok(Linear { weights: Packed::transposed(&rows, width, 3 * width, width), bias })
    }

    fn run(&self, shape: &Shape, texts: &[&[u32]], hidden: &mut [f32], room: &mut Room) {
        self.attention.run(hidden, &mut room.projected, &mut room.scratch);
        attend(shape, texts, room);
        let Room { projected, context, inner, scratch, .. } = room;
        self.attended.run(context, projected, scratch);
        add(hidden, projected);
        self.attended_norm.run(hidden, shape);
        self.up.run(hidden, inner, scratch);
        math::gelu(inner);
        self.down.run(inner, projected, scratch);
        add(hidden, projected);
        self.norm.run(hidden, shape);
    }
}

/// Attention of every text to itself, head by head, from `projected` into `context`.
fn attend(shape: &Shape, texts: &[&[u32]], room: &mut Room) {
    let Room { projected, context, scores, keys, values, scratch, .. } = room;
    let (width, heads) = (shape.hidden_size, shape.num_attention_heads);
    let (wide, head_width) = (3 * width, width / heads);
    context.clear();
    context.resize(projected.len() / 3, 0.0);
    let mut first = 0;
    for text in texts {
        let length = text.len();
        let projected = &projected[first * wide..(first + length) * wide];
        let context = &mut context[first * width..(first + length) * width];
        for column in (0..width).step_by(head_width) {
            keys.fill(head_width, length, |row, token| projected[token * wide + width + column + row]);
            values.fill(length, head_width, |token, row| projected[token * wide + 2 * width + column + row]);
            scores.clear();
            scores.resize(length * length, 0.0);
            let queries = Left { values: &projected[column..], rows: length, stride: wide };
            add_product(queries, keys, scores, length, scratch);
            math::softmax(scores, length);
            let weights = Left { values: scores, rows: length, stride: length };
            add_product(weights, values, &mut context[column..], width, scratch);
        }
        first += length;
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

impl Linear {
    fn read(weights: &Weights<'_>, name: &str, from: usize, to: usize) -> Result<Self, BertError> {
        let rows = weights.get(&format!("{name}.weight"), &[to, from])?;
        let bias = weights.get(&format!("{name}.bias"), &[to])?;
        Ok(Self { weights: Packed::transposed(&rows, from, to, from), bias })
    }

    fn run(&self, input: &[f32], out: &mut Vec<f32>, scratch: &mut Scratch) {
        let (from, to) = (self.weights.rows(), self.weights.columns());
        let rows = input.len() / from;
        out.clear();
        out.reserve(rows * to);
        for _ in 0..rows {
            out.extend_from_slice(&self.bias);
        }
        add_product(Left { values: input, rows, stride: from }, &self.weights, out, to, scratch);
    }
}

impl Norm {
    fn read(weights: &Weights<'_>, name: &str, width: usize) -> Result<Self, BertError> {
        // Models that were converted from TensorFlow long ago have other names here.
        let get = |new: &str, old: &str| {
            weights
                .get(&format!("{name}.{new}"), &[width])
                .or_else(|error| weights.get(&format!("{name}.{old}"), &[width]).map_err(|_| error))
        };
        Ok(Self { gamma: get("weight", "gamma")?, beta: get("bias", "beta")? })
    }

    fn run(&self, rows: &mut [f32], shape: &Shape) {
        math::layer_norm(rows, &self.gamma, &self.beta, shape.layer_norm_eps);
    }
}
