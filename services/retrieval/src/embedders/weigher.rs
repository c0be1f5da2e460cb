//! What each token of a text counts, as BGE-M3 has learned it: of its vector in the last layer one number, and nothing of
//! what is below 0 (J. Chen et al., 2024, and FlagEmbedding, `EncoderOnlyEmbedderM3ModelForInference.sparse_embedding`).

use super::folder::{Folder, fault};
use super::tokens::Tokens;
use crate::bert::Head;
use crate::config::{EmbedderConfig, TokenWeighing};
use crate::domain::token_weights::TokenWeights;
use crate::ports::EmbedError;

/// BGE-M3's `sparse_linear.pt` as safetensors: `weight` of one row, and `bias`.
pub(super) const FILE: &str = "sparse_linear.safetensors";

/// The head in a model's folder, if there is one and it is wanted. The hash takes in its bytes.
pub(super) fn head(
    folder: &Folder<'_>,
    config: &EmbedderConfig,
    width: Option<usize>,
    hash: &mut blake3::Hasher,
) -> Result<Option<Head>, EmbedError> {
    if config.token_weights == TokenWeighing::Off || !folder.dir.join(FILE).is_file() {
        return Ok(None);
    }
    let bytes = folder.read(FILE)?;
    let width = width.ok_or_else(|| fault(FILE, &"config.json names no hidden_size"))?;
    hash.update(blake3::hash(&bytes).as_bytes());
    Head::read(&bytes, width).map(Some).map_err(|error| fault(FILE, &error))
}

/// A text's weights from the number of each of its tokens. Tokens around it and unknown ones count nothing (FlagEmbedding,
/// `_process_token_weights`).
pub(super) fn weighed(
    tokens: &Tokens,
    text: &[u32],
    numbers: impl IntoIterator<Item = f32>,
) -> Result<TokenWeights, EmbedError> {
    let mut finite = true;
    let pairs = text.iter().copied().zip(numbers).inspect(|(_, number)| finite &= number.is_finite());
    let weights = TokenWeights::of(pairs.filter(|(token, _)| tokens.is_of_text(*token)));
    if finite { Ok(weights) } else { Err(EmbedError::fault("the model gives weights that are no numbers")) }
}
