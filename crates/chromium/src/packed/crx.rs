//! A packed extension (CRX3): whose it is, and whether its signatures hold.
//!
//! ```text
//!  "Cr24" ─ version, 3 ─ size of the header ─ header (protobuf) ─ zip
//!                                              │ keys and their signatures, and SignedData: the id
//!                                              ▼
//!  each signs: "CRX3 SignedData\0" ─ size of SignedData ─ SignedData ─ zip
//! ```
//!
//! Numbers are 32 bits, little endian. The id is the first half of the SHA-256 of the developer's key,
//! in the letters a to p.

use std::io::{self, Read};

use aws_lc_rs::digest::{Context, Digest, SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey,
    VerificationAlgorithm,
};

use super::protobuf;

const MAGIC: &[u8; 4] = b"Cr24";
const VERSION: u32 = 3;
/// What every signature is over first.
const SIGNED: &[u8] = b"CRX3 SignedData\0";
/// Largest header, bytes; Chromium's own limit.
const HEADER: u32 = 1 << 18;
/// Most signatures; Chromium's packages have up to three.
const PROOFS: usize = 16;
/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// A packed extension whose signatures hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crx {
    /// The extension's id: 32 letters from a to p.
    pub id: String,
    /// Where the zip begins, bytes.
    pub zip_at: u64,
}

/// Why it is none, in words that go on after its name.
#[derive(Debug, thiserror::Error)]
pub enum CrxError {
    /// Not in this format.
    #[error("is no packed extension: it does not begin with Cr24")]
    Magic,
    /// An older format, or one to come.
    #[error("is of CRX version {0}, and Chromium takes version {VERSION}")]
    Version(u32),
    /// The header is cut off, too large or not readable.
    #[error("has a header that cannot be read")]
    Header,
    /// No signature, or too many.
    #[error("has {0} signatures, and must have 1 to {PROOFS}")]
    Proofs(usize),
    /// The id is of a key that signed nothing.
    #[error("has the id {0}, which is of none of its keys")]
    ForeignId(String),
    /// A signature is of something else.
    #[error("has a signature that does not hold")]
    Signature,
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// A key and what it signed.
struct Proof<'a> {
    algorithm: &'static dyn VerificationAlgorithm,
    key: &'a [u8],
    signature: &'a [u8],
}

/// What a header says.
struct Header<'a> {
    proofs: Vec<Proof<'a>>,
    signed_data: &'a [u8],
    id: &'a [u8],
}

/// Reads all of `from` and checks it.
///
/// # Errors
///
/// [`CrxError`], when it is no packed extension or not as it was signed.
pub fn read(mut from: impl Read) -> Result<Crx, CrxError> {
    let mut magic = [0; 4];
    if !fill(&mut from, &mut magic)? || magic != *MAGIC {
        return Err(CrxError::Magic);
    }
    let version = number(&mut from)?;
    if version != VERSION {
        return Err(CrxError::Version(version));
    }
    let length = number(&mut from)?;
    if length > HEADER {
        return Err(CrxError::Header);
    }
    let mut bytes = vec![0; length as usize];
    if !fill(&mut from, &mut bytes)? {
        return Err(CrxError::Header);
    }
    let header = Header::parse(&bytes).ok_or(CrxError::Header)?;
    if !(1..=PROOFS).contains(&header.proofs.len()) {
        return Err(CrxError::Proofs(header.proofs.len()));
    }
    let id = letters(header.id);
    if !header.proofs.iter().any(|proof| digest(&SHA256, proof.key).as_ref().starts_with(header.id))
    {
        return Err(CrxError::ForeignId(id));
    }
    let digest = signed_digest(header.signed_data, from)?;
    if !header.proofs.iter().all(|proof| proof.holds(&digest)) {
        return Err(CrxError::Signature);
    }
    Ok(Crx { id, zip_at: 12 + u64::from(length) })
}

impl<'a> Header<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (mut proofs, mut signed_data) = (Vec::new(), None);
        for (number, field) in protobuf::fields(bytes).ok()? {
            match number {
                2 => {
                    let algorithm = &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
                    proofs.push(Proof::parse(algorithm, field)?);
                }
                3 => proofs.push(Proof::parse(&ECDSA_P256_SHA256_ASN1, field)?),
                10_000 => signed_data = Some(field),
                _ => {}
            }
        }
        let signed_data = signed_data?;
        let id = single(signed_data, 1)?;
        (id.len() == 16).then_some(Self { proofs, signed_data, id })
    }
}

impl<'a> Proof<'a> {
    fn parse(algorithm: &'static dyn VerificationAlgorithm, field: &'a [u8]) -> Option<Self> {
        Some(Self { algorithm, key: single(field, 1)?, signature: single(field, 2)? })
    }

    fn holds(&self, digest: &Digest) -> bool {
        UnparsedPublicKey::new(self.algorithm, self.key)
            .verify_digest(digest, self.signature)
            .is_ok()
    }
}

/// The field of this number; of several the last counts, as protobuf has it.
fn single(message: &[u8], number: u64) -> Option<&[u8]> {
    let fields = protobuf::fields(message).ok()?;
    fields.into_iter().rev().find(|(found, _)| *found == number).map(|(_, field)| field)
}

/// Digest of what is signed; the rest of `zip` is read.
fn signed_digest(signed_data: &[u8], mut zip: impl Read) -> io::Result<Digest> {
    let mut context = Context::new(&SHA256);
    context.update(SIGNED);
    // Shorter than the header, whose size is a u32.
    context.update(&u32::try_from(signed_data.len()).unwrap_or(u32::MAX).to_le_bytes());
    context.update(signed_data);
    let mut chunk = vec![0; CHUNK];
    loop {
        match zip.read(&mut chunk) {
            Ok(0) => return Ok(context.finish()),
            Ok(read) => context.update(&chunk[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn number(from: &mut impl Read) -> Result<u32, CrxError> {
    let mut bytes = [0; 4];
    if !fill(from, &mut bytes)? {
        return Err(CrxError::Header);
    }
    Ok(u32::from_le_bytes(bytes))
}

/// Fills `buffer`; false when there is less.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        other => other.map(|()| true),
    }
}

/// An id in its letters, two a byte.
fn letters(id: &[u8]) -> String {
    id.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|half| char::from(b'a' + half)).collect()
}

#[cfg(test)]
mod tests;
