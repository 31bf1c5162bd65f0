//! Random text, as the operating system gives it.

use std::io;

/// Returns this many random bytes as hexadecimal digits.
pub(crate) fn random<const N: usize>() -> io::Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}
