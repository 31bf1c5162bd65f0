//! Digests, read from lower-case hexadecimal digits: `hex` takes either case, and a digest has one
//! text here.

/// Decodes 64 such digits into 32 bytes.
pub(crate) fn decode(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let is_digest = is_hex(text) && hex::decode_to_slice(text, &mut bytes).is_ok();
    is_digest.then_some(bytes)
}

/// Returns whether a text consists of such digits.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}
