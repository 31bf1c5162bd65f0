//! A task as bytes that nobody on the way has to look into.
//!
//! ```text
//! length of the head   u32, little-endian
//! head                 JSON: the kind of data, the task without its data, and the numbers of the
//!                      tasks handed in that it was made of
//! data
//! ```

use std::time::Instant;

use stage::{SourceTask, Task};

use crate::local::{Format, Parcel, Payload};
use crate::run::numbers;

/// Appends a task to `buffer`.
pub(crate) fn pack(buffer: &mut Vec<u8>, parcel: &Parcel) -> serde_json::Result<()> {
    let sources = numbers(parcel.head.sources().iter());
    let tag = parcel.payload.format.tag();
    let head = serde_json::to_vec(&(tag, &parcel.head, sources))?;
    let length = u32::try_from(head.len()).map_err(serde::ser::Error::custom)?;
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&head);
    buffer.extend_from_slice(&parcel.payload.bytes());
    Ok(())
}

/// Reads a task; what is wrong with it if it is none.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Parcel, String> {
    let cut = || "a task that is cut short".to_owned();
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let (tag, head, sources): (String, Task, Vec<u64>) =
        serde_json::from_slice(head).map_err(|error| format!("a task whose head is {error}"))?;
    // Who follows them is in another process, and has them until the end of the run.
    let head = head.with_sources(sources.into_iter().map(|index| SourceTask::new(index, |_| {})));
    let format =
        Format::from_tag(&tag).ok_or_else(|| format!("a task with data of the kind {tag:?}"))?;
    let payload = Payload::new(format, data.to_vec());
    Ok(Parcel { head, payload, ready: Instant::now() })
}

/// Cuts bytes at these lengths; what is wrong if they do not add up.
pub(crate) fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Result<Vec<&'a [u8]>, String> {
    let mut parts = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (part, rest) =
            bytes.split_at_checked(*length).ok_or("fewer bytes than their lengths say")?;
        parts.push(part);
        bytes = rest;
    }
    if bytes.is_empty() { Ok(parts) } else { Err("more bytes than their lengths say".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stage::strategies::task;

    proptest! {
        /// A task that travelled is the task that set out.
        #[test]
        fn a_task_survives_the_way(task in task()) {
            let mut bytes = Vec::new();
            pack(&mut bytes, &Parcel::pack(task.clone()).unwrap()).unwrap();
            prop_assert_eq!(unpack(&bytes).unwrap().unpack().unwrap(), task);
        }

        /// Whatever arrives, reading it is a task or an error, never a panic.
        #[test]
        fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = unpack(&bytes);
        }

        /// Bytes are cut where the lengths say, or not at all.
        #[test]
        fn cuts_add_up(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..5)) {
            let lengths: Vec<usize> = parts.iter().map(Vec::len).collect();
            let bytes = parts.concat();
            prop_assert_eq!(cut(&bytes, &lengths).unwrap(), parts);
            prop_assert!(cut(&bytes, &[bytes.len() + 1]).is_err());
            prop_assert!(bytes.is_empty() || cut(&bytes, &[]).is_err());
        }
    }
}
