//! Reads the tensors of a `model.safetensors`. What is stored in 16 bits is widened: the work is done in 32.

use std::collections::HashMap;

use serde::Deserialize;

use super::BertError;

/// The tensors of a model. Models that were saved as a part of another carry a prefix before every name; it is found by the
/// name of one that is there.
pub(super) struct Weights<'a> {
    tensors: HashMap<String, Tensor>,
    data: &'a [u8],
    prefix: String,
}

/// Where a tensor's bytes are in the data, and how to read them.
#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [usize; 2],
}

impl<'a> Weights<'a> {
    /// The file begins with the length of its header, eight bytes, lowest first; the header is JSON; the rest is data. `first`
    /// is a tensor that it must have.
    pub(super) fn read(bytes: &'a [u8], first: &str) -> Result<Self, BertError> {
        let odd = || BertError("the file is no safetensors file".to_owned());
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(odd)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| odd())?;
        let (header, data) = rest.split_at_checked(length).ok_or_else(odd)?;
        let header: HashMap<String, serde_json::Value> = serde_json::from_slice(header).map_err(|_| odd())?;
        let tensors = header.into_iter().filter(|(name, _)| name != "__metadata__");
        let tensors: HashMap<String, Tensor> = tensors
            .map(|(name, tensor)| serde_json::from_value(tensor).map(|tensor| (name, tensor)))
            .collect::<Result<_, _>>()
            .map_err(|_| odd())?;
        let found = tensors.keys().find_map(|name| name.strip_suffix(first).map(str::to_owned));
        let prefix = found.ok_or_else(|| BertError(format!("there is no tensor {first}")))?;
        Ok(Self { tensors, data, prefix })
    }

    /// The values of a tensor, which must have exactly this shape.
    pub(super) fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, BertError> {
        let values = self.rows(name, shape.get(1).copied())?;
        let wanted = shape.iter().product::<usize>();
        if values.len() == wanted {
            return Ok(values);
        }
        Err(BertError(format!("the tensor {name} has {} values, not {wanted}", values.len())))
    }

    /// The values of a tensor whose rows have this width, however many they are.
    pub(super) fn rows(&self, name: &str, width: Option<usize>) -> Result<Vec<f32>, BertError> {
        let tensor = self.tensors.get(&format!("{}{name}", self.prefix));
        let tensor = tensor.ok_or_else(|| BertError(format!("there is no tensor {name}")))?;
        if width.is_some() && tensor.shape.get(1).copied() != width {
            return Err(BertError(format!("the tensor {name} has the shape {:?}", tensor.shape)));
        }
        let [from, to] = tensor.data_offsets;
        let bytes = self.data.get(from..to).unwrap_or_default();
        let values: Vec<f32> = match tensor.dtype.as_str() {
            "F32" => bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            "F16" => halves(bytes).map(from_half).collect(),
            "BF16" => halves(bytes).map(|bits| f32::from_bits(u32::from(bits) << 16)).collect(),
            other => return Err(BertError(format!("the tensor {name} is of the unsupported type {other}"))),
        };
        if values.len() != tensor.shape.iter().product::<usize>() {
            return Err(BertError(format!("the tensor {name} is cut off")));
        }
        Ok(values)
    }
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<2>().0.iter().map(|bytes| u16::from_le_bytes(*bytes))
}

/// An IEEE 754 half as a float: both know the same kinds of numbers, with fewer and more bits.
fn from_half(bits: u16) -> f32 {
    let (sign, exponent, fraction) =
        (u32::from(bits >> 15) << 31, u32::from(bits >> 10) & 31, u32::from(bits) & 1023);
    let magnitude = match (exponent, fraction) {
        (0, fraction) => fraction as f32 * 2f32.powi(-24),
        (31, fraction) => f32::from_bits(0x7f80_0000 | fraction << 13),
        (exponent, fraction) => f32::from_bits((exponent + 112) << 23 | fraction << 13),
    };
    f32::from_bits(magnitude.to_bits() | sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_the_numbers_that_they_mean() {
        let known = [
            (0x0000, 0.0),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65_504.0),
            (0x0001, 5.960_464_5e-8),
            (0x0400, 6.103_515_6e-5),
            (0x3555, 0.333_251_95),
            (0x7c00, f32::INFINITY),
        ];
        for (bits, wanted) in known {
            assert_eq!(from_half(bits), wanted, "{bits:#x}");
        }
        assert!(from_half(0x7e00).is_nan());
    }
}
