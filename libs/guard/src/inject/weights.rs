//! The weight file: what the classifier learned, small and checked.

use sha2::{Digest, Sha256};

use super::families::COUNT;
use super::features::BUCKETS;

/// First bytes of every weight file.
const MAGIC: &[u8; 4] = b"CDIJ";
/// Changes with the features: weights fit only the features they were learned on.
const VERSION: u16 = 1;
const HEAD: usize = 4 + 2 + 32 + 4 * 3;
const SIZE: usize = HEAD + 4 * COUNT + BUCKETS;

/// Why a file is no weight file of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightsError {
    /// It does not begin as one.
    NotWeights,
    /// It is for other features.
    Version(u16),
    /// It is too short or too long.
    Size(usize),
    /// A number in it is not finite.
    NotFinite,
}

impl std::fmt::Display for WeightsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotWeights => f.write_str("not a weight file of the injection classifier"),
            Self::Version(version) => write!(f, "weights of version {version}; this program reads {VERSION}"),
            Self::Size(size) => write!(f, "{size} bytes; a weight file has {SIZE}"),
            Self::NotFinite => f.write_str("holds a number that is not finite"),
        }
    }
}

impl std::error::Error for WeightsError {}

/// Weights of a logistic model, those of pieces rounded to a signed byte.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weights {
    /// SHA-256 of what the weights were fitted on.
    pub(super) data: [u8; 32],
    /// Log-odds of an empty text.
    pub(super) bias: f32,
    /// Probability from which a text is taken for an injection.
    pub(super) threshold: f32,
    /// What a byte of one stands for.
    pub(super) scale: f32,
    pub(super) families: [f32; COUNT],
    pub(super) pieces: Vec<i8>,
}

impl Weights {
    /// Rounds what a fit found; `all` holds the pieces' weights and then the families'.
    pub(super) fn rounded(data: [u8; 32], bias: f64, threshold: f32, all: &[f64]) -> Self {
        let (pieces, families) = all.split_at(BUCKETS.min(all.len()));
        let largest = pieces.iter().fold(1e-9_f64, |most, weight| most.max(weight.abs()));
        let scale = largest / 127.0;
        let mut kept = [0.0; COUNT];
        for (slot, weight) in kept.iter_mut().zip(families) {
            *slot = *weight as f32;
        }
        // Within ±127 by construction; `as` from a float saturates.
        let pieces = pieces.iter().map(|weight| (weight / scale).round() as i8).collect();
        Self { data, bias: bias as f32, threshold, scale: scale as f32, families: kept, pieces }
    }

    /// Log-odds of a text with these features.
    pub(super) fn log_odds(&self, features: &[(u32, f64)]) -> f64 {
        let weight = |at: usize| match at.checked_sub(BUCKETS) {
            None => self.pieces.get(at).map_or(0.0, |w| f64::from(*w) * f64::from(self.scale)),
            Some(family) => self.families.get(family).map_or(0.0, |w| f64::from(*w)),
        };
        features.iter().fold(f64::from(self.bias), |sum, (at, value)| sum + weight(*at as usize) * value)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SIZE);
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(self.data);
        for number in [self.bias, self.threshold, self.scale].iter().chain(&self.families) {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.pieces.iter().map(|weight| weight.cast_unsigned()));
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, WeightsError> {
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(WeightsError::NotWeights)?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or(WeightsError::Size(bytes.len()))?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Err(WeightsError::Version(version));
        }
        if bytes.len() != SIZE {
            return Err(WeightsError::Size(bytes.len()));
        }
        let (data, rest) = rest.split_first_chunk::<32>().ok_or(WeightsError::Size(bytes.len()))?;
        let (numbers, pieces) = rest.split_at(4 * (3 + COUNT));
        let (numbers, _) = numbers.as_chunks::<4>();
        let numbers: Vec<f32> = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(WeightsError::NotFinite);
        }
        let mut families = [0.0; COUNT];
        families.copy_from_slice(&numbers[3..]);
        Ok(Self {
            data: *data,
            bias: numbers[0],
            threshold: numbers[1],
            scale: numbers[2],
            families,
            pieces: pieces.iter().map(|byte| byte.cast_signed()).collect(),
        })
    }

    /// Twelve hexadecimal digits that name these weights.
    pub(super) fn name(&self) -> String {
        let hash = Sha256::digest(self.to_bytes());
        hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_back_as_it_went_and_no_other_file_does() {
        let mut all = vec![0.5; BUCKETS + COUNT];
        all[3] = -2.0;
        let weights = Weights::rounded([7; 32], -0.25, 0.5, &all);
        let bytes = weights.to_bytes();
        assert_eq!((bytes.len(), Weights::from_bytes(&bytes)), (SIZE, Ok(weights)));
        assert!(bytes.len() <= 64 * 1024);
        assert_eq!(Weights::from_bytes(b"text"), Err(WeightsError::NotWeights));
        assert_eq!(Weights::from_bytes(&bytes[..100]), Err(WeightsError::Size(100)));
        let mut newer = bytes.clone();
        newer[4] = 9;
        assert_eq!(Weights::from_bytes(&newer), Err(WeightsError::Version(9)));
        let mut broken = bytes;
        broken[38..42].copy_from_slice(&f32::NAN.to_le_bytes());
        assert_eq!(Weights::from_bytes(&broken), Err(WeightsError::NotFinite));
    }
}
