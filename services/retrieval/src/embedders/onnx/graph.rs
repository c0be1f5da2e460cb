//! A graph: what it wants, what it gives, and how a text's vector comes out of it.

use std::borrow::Cow;
use std::path::Path;

use ort::environment::Environment;
use ort::logging::LogLevel;
use ort::session::builder::GraphOptimizationLevel;
use ort::session::{OutputSelector, RunOptions, Session, SessionInputValue, SessionOutputs};
use ort::value::{Outlet, Tensor, TensorElementType};

use super::library::said;
use crate::bert::{Head, normalize};
use crate::config::{EmbedderConfig, OnnxPooling, TokenWeighing};
use crate::domain::token_weights::TokenWeights;
use crate::embedders::folder::{Folder, fault};
use crate::embedders::tokens::Tokens;
use crate::embedders::weigher;
use crate::ports::{EmbedError, Embedded};

/// Outputs that hold a text's vector, or the vectors of its tokens, by the names that exporters give them.
const OUTPUTS: [&str; 5] =
    ["sentence_embedding", "dense_vecs", "token_embeddings", "last_hidden_state", "dense_embeddings"];

/// Of these, those that hold the vectors of tokens in the last layer.
const TOKENS: [&str; 2] = ["token_embeddings", "last_hidden_state"];

/// Outputs that hold what each token counts, by the names that exporters of BGE-M3 give them.
const WEIGHTS: [&str; 5] =
    ["sparse_vecs", "sparse_embeddings", "sparse_weights", "token_weights", "lexical_weights"];

/// Operators whose name begins so find the scale of a whole run's values while it runs.
const DYNAMIC: &[u8] = b"DynamicQuantize";

/// How a graph is used.
pub(super) struct Graph {
    inputs: Vec<(String, Input)>,
    output: String,
    pooling: Pooling,
    weigher: Option<Weigher>,
    padding: i64,
    /// A text is run alone: its vector must not depend on what is run with it.
    pub(super) one_by_one: bool,
}

/// What is put into the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    Tokens,
    /// One for each token, zero for padding.
    Mask,
    /// Zero: there is one text, not a pair.
    Kinds,
}

/// What is done with what comes out of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    /// It is a text's vector.
    Done,
    First,
    Mean,
}

/// Where what a token counts comes from.
enum Weigher {
    /// From this output.
    Output(String),
    /// By the head of the model's folder from the tokens' vectors in this output.
    Head(String, Head),
}

impl Weigher {
    /// The output that it reads.
    fn output(&self) -> &str {
        match self {
            Self::Output(name) | Self::Head(name, _) => name,
        }
    }
}

impl Graph {
    /// Reads a graph and finds its ends. The hash takes in its bytes, and those of weights beside it whose file's name begins
    /// with its own.
    pub(super) fn open(
        environment: &Environment,
        folder: &Folder<'_>,
        config: &EmbedderConfig,
        (width, padding): (Option<usize>, u32),
        hash: &mut blake3::Hasher,
    ) -> Result<(Session, Self), EmbedError> {
        let file = config.onnx.graph.as_str();
        let bytes = folder.read(file)?;
        hash.update(blake3::hash(&bytes).as_bytes());
        let dynamic = memchr::memmem::find(&bytes, DYNAMIC).is_some();
        drop(bytes);
        let path = folder.dir.join(file);
        weights_beside(&path, hash).map_err(|error| fault(file, &error))?;
        let session = session(environment, &path, config.onnx.threads)
            .map_err(|error| fault(file, &format!("onnxruntime says: {error}")))?;
        let inputs = inputs(session.inputs()).map_err(|error| fault(file, &error))?;
        let wanted = match config.onnx.pooling {
            OnnxPooling::Auto => None,
            OnnxPooling::Cls => Some(Pooling::First),
            OnnxPooling::Mean => Some(Pooling::Mean),
        };
        let (output, rank) = output(session.outputs(), &config.onnx.output, wanted.is_some())
            .map_err(|error| fault(file, &error))?;
        let pooling = match (rank, wanted) {
            (2, _) => Pooling::Done,
            (_, Some(wanted)) => wanted,
            (_, None) if folder.first_token()? => Pooling::First,
            (_, None) => Pooling::Mean,
        };
        let masked = inputs.iter().any(|(_, input)| *input == Input::Mask);
        let one_by_one = dynamic || !masked;
        let weigher = weigher(&session, folder, config, width, hash)?;
        Ok((session, Self { inputs, output, pooling, weigher, padding: padding.into(), one_by_one }))
    }

    /// Whether it says what each token counts.
    pub(super) fn weighs_tokens(&self) -> bool {
        self.weigher.is_some()
    }

    /// What of the settings changes vectors.
    pub(super) fn settings(&self) -> String {
        let weights = self.weigher.as_ref().map(|weigher| format!(" {}", weigher.output()));
        format!("{} {:?} {}{}", self.output, self.pooling, self.one_by_one, weights.unwrap_or_default())
    }

    /// One vector of length 1 for each text, and what its tokens count if that is known.
    pub(super) fn embedded(
        &self,
        session: &mut Session,
        texts: &[Vec<u32>],
        tokens: &Tokens,
    ) -> Result<Vec<Embedded>, EmbedError> {
        // No graph takes no tokens.
        let longest = texts.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let options = RunOptions::new().map_err(|error| said(&error))?;
        let mut wanted = OutputSelector::no_default().with(&self.output);
        if let Some(weigher) = self.weigher.as_ref().filter(|weigher| weigher.output() != self.output) {
            wanted = wanted.with(weigher.output());
        }
        let options = options.with_outputs(wanted);
        let inputs = self.filled(texts, longest).map_err(|error| said(&error))?;
        let outputs = session.run_with_options(inputs, &options).map_err(|error| said(&error))?;
        let vectors = self.vectors(&outputs, texts, longest)?;
        let weights = match &self.weigher {
            Some(weigher) => {
                weigher.weights(&outputs, texts, longest, tokens)?.into_iter().map(Some).collect()
            }
            None => vec![None; texts.len()],
        };
        let pairs = vectors.into_iter().zip(weights);
        Ok(pairs.map(|(vector, weights)| Embedded { vector, weights }).collect())
    }

    fn vectors(
        &self,
        outputs: &SessionOutputs<'_>,
        texts: &[Vec<u32>],
        longest: usize,
    ) -> Result<Vec<Vec<f32>>, EmbedError> {
        let (shape, values) = given(outputs, &self.output)?;
        let width = match (self.pooling, shape.as_slice()) {
            (Pooling::Done, [rows, width]) if *rows == texts.len() => *width,
            (Pooling::First | Pooling::Mean, [rows, tokens, width])
                if *rows == texts.len() && *tokens == longest =>
            {
                *width
            }
            _ => return Err(misshapen(&self.output, &shape, texts.len())),
        };
        if width == 0 || values.iter().any(|value| !value.is_finite()) {
            return Err(EmbedError::fault("the graph gives values that are no numbers"));
        }
        let rows = values.chunks_exact(values.len() / texts.len());
        Ok(rows.zip(texts).map(|(row, text)| self.pooled(row, text.len(), width)).collect())
    }

    /// The inputs for texts that are filled up to the longest.
    fn filled(
        &self,
        texts: &[Vec<u32>],
        longest: usize,
    ) -> ort::Result<Vec<(Cow<'_, str>, SessionInputValue<'static>)>> {
        let tensor = |input: Input| {
            let mut values = Vec::with_capacity(texts.len() * longest);
            for text in texts {
                let (of_token, padding): (fn(u32) -> i64, i64) = match input {
                    Input::Tokens => (i64::from, self.padding),
                    Input::Mask => (|_| 1, 0),
                    Input::Kinds => (|_| 0, 0),
                };
                values.extend(text.iter().map(|token| of_token(*token)));
                values.resize(values.len() + longest - text.len(), padding);
            }
            Tensor::from_array(([texts.len(), longest], values))
        };
        let one = |(name, input): &'_ (String, Input)| Ok((Cow::Owned(name.clone()), tensor(*input)?.into()));
        self.inputs.iter().map(one).collect()
    }

    /// The vector of a text of so many tokens. The mean needs no division: only its direction counts.
    fn pooled(&self, row: &[f32], tokens: usize, width: usize) -> Vec<f32> {
        let rows = match self.pooling {
            Pooling::Done | Pooling::First => &row[..width],
            Pooling::Mean => &row[..tokens * width],
        };
        let mut vector = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            for (sum, value) in vector.iter_mut().zip(row) {
                *sum += value;
            }
        }
        normalize(&mut vector);
        vector
    }
}

impl Weigher {
    /// What the tokens of each text count.
    fn weights(
        &self,
        outputs: &SessionOutputs<'_>,
        texts: &[Vec<u32>],
        longest: usize,
        tokens: &Tokens,
    ) -> Result<Vec<TokenWeights>, EmbedError> {
        let (shape, values) = given(outputs, self.output())?;
        let width = match (self, shape.as_slice()) {
            (Self::Output(_), [rows, tokens, 1]) if [*rows, *tokens] == [texts.len(), longest] => 1,
            (Self::Head(_, head), [rows, tokens, width])
                if [*rows, *tokens, *width] == [texts.len(), longest, head.width()] =>
            {
                *width
            }
            _ => return Err(misshapen(self.output(), &shape, texts.len())),
        };
        let number = |row: &[f32]| match self {
            Self::Output(_) => row[0],
            Self::Head(_, head) => head.of(row),
        };
        let rows = values.chunks_exact(longest * width);
        let weigh = |(rows, text): (&[f32], &Vec<u32>)| {
            weigher::weighed(tokens, text, rows.chunks_exact(width).map(number))
        };
        rows.zip(texts).map(weigh).collect()
    }
}

/// An output's shape and values.
fn given<'a>(outputs: &'a SessionOutputs<'_>, name: &str) -> Result<(Vec<usize>, &'a [f32]), EmbedError> {
    let found = outputs.get(name).ok_or_else(|| EmbedError::fault("the graph gives nothing"))?;
    let (shape, values) = found.try_extract_tensor::<f32>().map_err(|error| said(&error))?;
    Ok((shape.iter().map(|side| usize::try_from(*side).unwrap_or(0)).collect(), values))
}

fn misshapen(output: &str, shape: &[usize], texts: usize) -> EmbedError {
    EmbedError::fault(format!("the graph's output {output} is of shape {shape:?} for {texts} texts"))
}

/// Takes in files beside a graph that hold its weights: exporters call them `<graph>_data` or `<graph>.data`.
fn weights_beside(graph: &Path, hash: &mut blake3::Hasher) -> std::io::Result<()> {
    let (Some(folder), Some(name)) = (graph.parent(), graph.file_name()) else { return Ok(()) };
    let name = name.to_string_lossy();
    let mut beside = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.file_name().and_then(|other| other.to_str()?.strip_prefix(&*name));
        if ending.is_some_and(|ending| ending.starts_with(['_', '.'])) {
            beside.push(path);
        }
    }
    beside.sort();
    for path in beside {
        hash.update_reader(std::fs::File::open(path)?)?;
    }
    Ok(())
}

/// Threads that wait do so asleep: the processors are not this model's alone.
fn session(environment: &Environment, graph: &Path, threads: u32) -> Result<Session, String> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { all } else { threads as usize };
    fn words<R>(error: ort::Error<R>) -> String {
        error.message().to_owned()
    }
    Session::builder(environment)
        .map_err(words)?
        .with_log_level(LogLevel::Warning)
        .map_err(words)?
        .with_optimization_level(GraphOptimizationLevel::All)
        .map_err(words)?
        .with_intra_threads(threads)
        .map_err(words)?
        .with_intra_op_spinning(false)
        .map_err(words)?
        // Lengths differ, and a pattern would be kept for each.
        .with_memory_pattern(false)
        .map_err(words)?
        .commit_from_file(graph)
        .map_err(words)
}

/// What each input of the graph is.
fn inputs(all: &[Outlet]) -> Result<Vec<(String, Input)>, String> {
    let known = |input: &Outlet| {
        let kind = match input.name() {
            "input_ids" => Input::Tokens,
            "attention_mask" => Input::Mask,
            "token_type_ids" => Input::Kinds,
            _ => return None,
        };
        let fits = input.dtype().tensor_type() == Some(TensorElementType::Int64) && rank(input) == 2;
        fits.then(|| (input.name().to_owned(), kind))
    };
    let found: Option<Vec<_>> = all.iter().map(known).collect();
    let found = found.filter(|found| found.iter().any(|(_, input)| *input == Input::Tokens));
    found.ok_or_else(|| {
        let all = listed(all);
        format!("it wants {all}; input_ids, attention_mask and token_type_ids can be given, of Int64 and two sides")
    })
}

/// The output to read and its number of sides: the named one, else the first known one; one of tokens if it is pooled here.
fn output(all: &[Outlet], named: &str, pooled_here: bool) -> Result<(String, usize), String> {
    let fits = |output: &&Outlet| {
        let sides = rank(output);
        output.dtype().tensor_type() == Some(TensorElementType::Float32)
            && (sides == 3 || sides == 2 && !pooled_here)
    };
    let by_name = |name: &str| all.iter().find(|output| output.name() == name).filter(fits);
    let found = if named.is_empty() { OUTPUTS.iter().find_map(|name| by_name(name)) } else { by_name(named) };
    found.map(|output| (output.name().to_owned(), rank(output))).ok_or_else(|| {
        let wanted = if named.is_empty() { OUTPUTS.join(", ") } else { named.to_owned() };
        let sides = if pooled_here { "three sides, to be pooled" } else { "two or three sides" };
        let all = listed(all);
        format!("it gives {all}, and not {wanted} of Float32 and {sides}; `onnx.output` names another one")
    })
}

/// Where what a token counts comes from, if the model says that and it is wanted.
fn weigher(
    session: &Session,
    folder: &Folder<'_>,
    config: &EmbedderConfig,
    width: Option<usize>,
    hash: &mut blake3::Hasher,
) -> Result<Option<Weigher>, EmbedError> {
    let (all, named) = (session.outputs(), config.onnx.weights.as_str());
    let of_tokens = |name: &&str| {
        let float = |output: &Outlet| output.dtype().tensor_type() == Some(TensorElementType::Float32);
        all.iter().any(|output| output.name() == *name && float(output) && rank(output) == 3)
    };
    if config.token_weights == TokenWeighing::Off {
        return Ok(None);
    }
    if !named.is_empty() && !of_tokens(&named) {
        let reason = format!("it gives {}, and not {named} of Float32 and three sides", listed(all));
        return Err(fault(&config.onnx.graph, &reason));
    }
    if let Some(name) = std::iter::once(named).chain(WEIGHTS).find(of_tokens) {
        return Ok(Some(Weigher::Output(name.to_owned())));
    }
    let Some(head) = weigher::head(folder, config, width, hash)? else { return Ok(None) };
    let tokens = TOKENS.into_iter().find(of_tokens).ok_or_else(|| {
        let wanted = TOKENS.join(" or ");
        let off = "`token_weights = \"off\"` does without";
        fault(weigher::FILE, &format!("the graph gives {}, and not {wanted}; {off}", listed(all)))
    })?;
    Ok(Some(Weigher::Head(tokens.to_owned(), head)))
}

fn rank(outlet: &Outlet) -> usize {
    outlet.dtype().tensor_shape().map_or(0, |shape| shape.len())
}

fn listed(all: &[Outlet]) -> String {
    let one = |outlet: &Outlet| {
        let kind = outlet.dtype().tensor_type().map_or("no tensor".to_owned(), |kind| format!("{kind:?}"));
        format!("{} ({kind}, {} sides)", outlet.name(), rank(outlet))
    };
    all.iter().map(one).collect::<Vec<_>>().join(", ")
}
