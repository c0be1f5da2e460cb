//! Texts that must not be seen.
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// A secret text: prints and serialises as `***`, and is wiped from memory when dropped.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text itself. Each caller is a place to look at in a review.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// For settings that are compared whole; nobody is let in by it, so its time may tell.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// The most of a file that is read for a secret, in bytes. No key is as long.
const LONGEST: u64 = 64 << 10;

/// Where a secret stands when it is not in the configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A variable of the environment, by its name.
    Env(String),
    /// A file.
    File(PathBuf),
}

/// Why a secret could not be fetched. The secret itself is never in it.
#[derive(Debug, thiserror::Error)]
pub enum SecretFault {
    /// There is no such place, or it cannot be read.
    #[error("{0}")]
    Place(String),
    /// What stands there can be no key.
    #[error("{0}")]
    Content(&'static str),
}

impl SecretPlace {
    /// Takes the place out of the two settings that name it, the variable before the file; `None` when neither is set. A
    /// second one stays where it is, for whoever checks that there is one only.
    pub fn take(variable: &mut Option<String>, file: &mut Option<PathBuf>) -> Option<Self> {
        variable.take().map(Self::Env).or_else(|| file.take().map(Self::File))
    }

    /// What the name of the setting ends in: `env` or `file`.
    pub fn ending(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File(_) => "file",
        }
    }

    /// Fetches the secret; `env` looks a variable up. Blanks around it do not count.
    ///
    /// # Errors
    /// The place is not there or cannot be read, or it holds nothing, or more than one line.
    pub fn fetch(&self, env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretFault> {
        let found = match self {
            Self::Env(name) => env(name).ok_or_else(|| format!("the environment has no {name}")),
            Self::File(path) => {
                read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
            }
        };
        match found.map_err(SecretFault::Place)?.trim() {
            "" => Err(SecretFault::Content("the key is blank")),
            found if found.contains(char::is_control) => {
                Err(SecretFault::Content("the key is more than one line"))
            }
            found => Ok(Secret::new(found)),
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_shows_itself() {
        let secret = Secret::new("s3cret");
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose(), "s3cret");
    }
}
