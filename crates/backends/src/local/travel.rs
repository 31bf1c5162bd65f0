//! A task as bytes that are not read on the way.
//!
//! ```text
//! length of the head   u32, little-endian
//! head                 JSON: the kind of data, the task without its data, and the numbers of the
//!                      tasks handed in that it was made of
//! data
//! ```

use std::time::Instant;

use stage::{SourceTask, Task};

use super::parcel::Parcel;
use super::payload::{Format, Payload};
use crate::run::{Error, numbers};

/// Returns tasks as bytes, for another process; [`unpack_tasks`] reads them there.
///
/// Ids, timings, data and the numbers of the [sources](Task::sources) are sent. The callbacks at
/// the end of a source are not: the sender keeps a task's sources until all of it is back.
pub fn pack_tasks(tasks: impl IntoIterator<Item = Task>) -> Result<Vec<u8>, Error> {
    let (mut all, mut one) = (Vec::new(), Vec::new());
    for task in tasks {
        let id = task.id().to_string();
        one.clear();
        Parcel::pack(task)
            .and_then(|parcel| pack(&mut one, &parcel))
            .map_err(|source| Error::Data { task: id, source })?;
        all.extend_from_slice(&(one.len() as u64).to_le_bytes());
        all.extend_from_slice(&one);
    }
    Ok(all)
}

/// Reads the bytes of [`pack_tasks`].
///
/// # Errors
///
/// [`Error::Engine`] for any bytes that hold no tasks.
pub fn unpack_tasks(mut bytes: &[u8]) -> Result<Vec<Task>, Error> {
    let nonsense = |words: String| Error::Engine { words, log: Vec::new() };
    let mut tasks = Vec::new();
    while !bytes.is_empty() {
        let cut = || nonsense("tasks that are cut short".to_owned());
        let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(cut)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| cut())?;
        let (one, rest) = rest.split_at_checked(length).ok_or_else(cut)?;
        let parcel = unpack(one).map_err(nonsense)?;
        let id = parcel.head.id().to_string();
        tasks.push(parcel.unpack().map_err(|source| Error::Data { task: id, source })?);
        bytes = rest;
    }
    Ok(tasks)
}

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

/// Reads a task; the error says what is wrong with it.
pub(crate) fn unpack(bytes: &[u8]) -> Result<Parcel, String> {
    let cut = || "a task that is cut short".to_owned();
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (head, data) = rest.split_at_checked(length).ok_or_else(cut)?;
    let (tag, head, sources): (String, Task, Vec<u64>) =
        serde_json::from_slice(head).map_err(|error| format!("a task whose head is {error}"))?;
    // The followers of these sources are in another process, and keep them until the end of the
    // run.
    let head = head.with_sources(sources.into_iter().map(|index| SourceTask::new(index, |_| {})));
    let format =
        Format::from_tag(&tag).ok_or_else(|| format!("a task with data of the kind {tag:?}"))?;
    let payload = Payload::new(format, data.to_vec());
    Ok(Parcel { head, payload, ready: Instant::now() })
}

/// Cuts bytes at these lengths; the error says what is wrong if they do not add up.
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
        /// A task that was sent is received unchanged.
        #[test]
        fn a_task_survives_the_way(task in task()) {
            let mut bytes = Vec::new();
            pack(&mut bytes, &Parcel::pack(task.clone()).unwrap()).unwrap();
            prop_assert_eq!(unpack(&bytes).unwrap().unpack().unwrap(), task.clone());
            let two = pack_tasks([task.clone(), task.clone()]).unwrap();
            prop_assert_eq!(unpack_tasks(&two).unwrap(), [task.clone(), task]);
        }

        /// Reading any bytes gives a task or an error, never a panic.
        #[test]
        fn garbage_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = (unpack(&bytes), unpack_tasks(&bytes));
        }

        /// Bytes are cut according to the lengths, or not at all.
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
