use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use proptest::prelude::*;

use super::*;

/// A field with bytes in it.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = varint(number << 3 | 2);
    out.extend(varint(u32::try_from(content.len()).unwrap()));
    out.extend_from_slice(content);
    out
}

fn varint(mut value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7f {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
    out
}

fn file(header: &[u8], zip: &[u8]) -> Vec<u8> {
    let length = u32::try_from(header.len()).unwrap().to_le_bytes();
    [MAGIC, &3u32.to_le_bytes()[..], &length, header, zip].concat()
}

fn signed(signed_data: &[u8], zip: &[u8]) -> Vec<u8> {
    let length = u32::try_from(signed_data.len()).unwrap().to_le_bytes();
    [SIGNED, &length, signed_data, zip].concat()
}

fn proof(number: u32, key: &[u8], signature: &[u8]) -> Vec<u8> {
    field(number, &[field(1, key), field(2, signature)].concat())
}

/// A package signed with a fresh elliptic key, and that key.
fn packed(zip: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let key = pair.public_key().as_der().unwrap().as_ref().to_vec();
    let signed_data = field(1, &digest(&SHA256, &key).as_ref()[..16]);
    let signature = pair.sign(&SystemRandom::new(), &signed(&signed_data, zip)).unwrap();
    let header = [proof(3, &key, signature.as_ref()), field(10_000, &signed_data)].concat();
    (file(&header, zip), key)
}

#[test]
fn an_elliptic_and_an_rsa_signature() {
    let (elliptic, key) = packed(b"a zip");
    let read_ = read(&elliptic[..]).unwrap();
    assert_eq!(read_.id, letters(&digest(&SHA256, &key).as_ref()[..16]));
    assert_eq!(&elliptic[usize::try_from(read_.zip_at).unwrap()..], b"a zip");

    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let key = AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key());
    let key = key.unwrap().as_ref().to_vec();
    let signed_data = field(1, &digest(&SHA256, &key).as_ref()[..16]);
    let mut signature = vec![0; pair.public_modulus_len()];
    let message = signed(&signed_data, b"zip");
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
    let header = [proof(2, &key, &signature), field(10_000, &signed_data)].concat();
    assert_eq!(read(&file(&header, b"zip")[..]).unwrap().id.len(), 32);
    assert!(matches!(read(&file(&header, b"zap")[..]), Err(CrxError::Signature)));
}

#[test]
fn ids_are_letters() {
    assert_eq!(letters(&[0x00, 0x1f, 0xff]), "aabppp");
}

#[test]
fn what_is_refused_and_why() {
    let (good, key) = packed(b"zip");
    let words = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert!(words(b"").contains("Cr24"));
    assert!(words(b"PK\x03\x04").contains("Cr24"));
    assert!(words(b"Cr24\x02\0\0\0").contains("version 2"));
    assert!(words(b"Cr24\x03\0\0").contains("header"));
    assert!(words(b"Cr24\x03\0\0\0\xff\xff\xff\xff").contains("header"));
    assert!(words(&good[..40]).contains("header"));
    assert!(words(&[&good[..], b"x"].concat()).contains("does not hold"));
    assert!(words(&good[..good.len() - 1]).contains("does not hold"));
    assert!(words(&file(&field(10_000, &field(1, &[0; 16])), b"zip")).contains("0 signatures"));
    let own_id = field(10_000, &field(1, &[7; 16]));
    let foreign = [proof(3, &key, b"x"), own_id].concat();
    assert!(words(&file(&foreign, b"zip")).contains("of none of its keys"));
    let short_id = [proof(3, &key, b"x"), field(10_000, &field(1, &[]))].concat();
    assert!(words(&file(&short_id, b"zip")).contains("header"));
}

proptest! {
    #[test]
    fn any_bytes_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let header = file(&bytes, b"");
        prop_assert!(read(&header[..]).is_err());
        prop_assert!(read(&bytes[..]).is_err());
    }

    /// Whatever is changed, wherever: no signature holds any more.
    #[test]
    fn a_changed_package_is_refused(at in any::<prop::sample::Index>(), with in 1u8..) {
        let (mut bytes, _) = packed(b"a zip");
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        // Lengths may be written in more ways than one, and unknown fields do not count.
        if let Ok(crx) = read(&bytes[..]) {
            prop_assert!(at >= 12 && at < usize::try_from(crx.zip_at).unwrap());
        }
    }
}
