//! Random secrets, which cannot be printed.

pub use secrecy::{ExposeSecret, SecretString};

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
