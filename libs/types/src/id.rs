//! Ids: a prefix that names the kind, and a UUIDv7 in 26 characters of Crockford base32, for example
//! `run_01jd3v9w5nf7s8a4k2m6p0q1rt`. Ids of one kind sort by the time at which they were made.
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const DIGITS: usize = 26;

/// A text that is not an id of the expected kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not an id of the form {prefix}_ and 26 characters of lower-case base32")]
pub struct IdError {
    prefix: &'static str,
}

fn encode(prefix: &str, value: u128, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut digits = [0u8; DIGITS];
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    let digits = std::str::from_utf8(&digits).map_err(|_| fmt::Error)?;
    write!(f, "{prefix}_{digits}")
}

fn decode(prefix: &'static str, text: &str) -> Result<u128, IdError> {
    let error = IdError { prefix };
    let digits = text.strip_prefix(prefix).and_then(|t| t.strip_prefix('_')).ok_or(error.clone())?;
    // 26 digits hold 130 bits: the first may use only the lower three of its five.
    if digits.len() != DIGITS || digits.as_bytes()[0] > b'7' {
        return Err(error);
    }
    digits.bytes().try_fold(0u128, |value, byte| {
        let digit = ALPHABET.iter().position(|a| *a == byte).ok_or(error.clone())?;
        Ok((value << 5) | digit as u128)
    })
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// The kind's prefix, without the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// A new id from the clock and random bits. For `app/` code: domain code takes ids as arguments.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id with these 128 bits.
            pub const fn from_u128(value: u128) -> Self {
                Self(Uuid::from_u128(value))
            }

            /// The 128 bits.
            pub const fn as_u128(self) -> u128 {
                self.0.as_u128()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                encode($prefix, self.0.as_u128(), f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                decode($prefix, text).map(|value| Self(Uuid::from_u128(value)))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// Whose data it is.
    TenantId = "ten";
    /// An API key (its public name, not its secret).
    KeyId = "key";
    /// A run of the orchestrator.
    RunId = "run";
    /// A brand.
    BrandId = "brd";
    /// A knowledge base.
    KnowledgeBaseId = "kb";
    /// A document.
    DocumentId = "doc";
    /// A passage: a parent chunk that is given to a model as evidence.
    PassageId = "psg";
    /// An upload's background job.
    IngestionId = "ing";
    /// A snapshot of a knowledge base.
    SnapshotId = "snp";
    /// An object: bytes that stand outside of the rows that name them.
    ObjectId = "obj";
    /// A verdict of a person.
    FeedbackId = "fbk";
    /// A lesson.
    LessonId = "les";
    /// A record of the usage ledger.
    UsageId = "use";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_and_sorts_by_time() {
        for value in [0, 1, u128::MAX, 0x0192_f4a1_0000_7000_8000_0000_0000_0001] {
            let id = RunId::from_u128(value);
            assert_eq!(id.to_string().len(), 30);
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let (early, late) = (RunId::from_u128(1 << 80), RunId::from_u128(1 << 81));
        assert!(early.to_string() < late.to_string());
    }

    #[test]
    fn refuses_what_is_not_an_id() {
        let good = RunId::generate().to_string();
        for bad in
            ["", "run_", &good[1..], &good.replace("run", "doc"), &good.to_uppercase(), &format!("{good}0")]
        {
            assert!(bad.parse::<RunId>().is_err(), "{bad}");
        }
        assert!("run_8zzzzzzzzzzzzzzzzzzzzzzzzz".parse::<RunId>().is_err(), "more than 128 bits");
        assert!("run_é1jd3v9w5nf7s8a4k2m6p0q1r".parse::<RunId>().is_err(), "not a base32 digit");
    }
}
