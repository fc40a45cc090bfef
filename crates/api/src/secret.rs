//! Random secrets, which cannot be printed.

use std::fmt;

pub use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

/// Where an API key comes from: `sk_` and the given random bytes in base 36, so that it is
/// recognisable in a leak scan and safe in a URL or shell.
#[must_use]
pub fn api_key(random: &[u8; 32]) -> SecretString {
    const ALPHABET: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut text = String::with_capacity(35);
    text.push_str("sk_");
    // 256 is no multiple of 36; the bias leaves over 5 bits a character, 160 in all.
    text.extend(random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 36)])));
    SecretString::from(text)
}

/// A password, kept to be used: it is written where rows and messages are, and printed nowhere.
#[derive(Clone, Deserialize)]
#[serde(from = "String")]
pub struct Password(SecretString);

impl Password {
    /// Takes the text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(SecretString::from(text.into()))
    }

    /// The text, for the one that the password is meant for.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl PartialEq for Password {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Password {}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}
