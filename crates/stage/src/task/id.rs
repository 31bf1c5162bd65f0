//! The ids of tasks: their origin, in a form that is the same on every run.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The place of a task among all tasks made from its source; it displays as `0`, `0_3_1` or
/// `r0f3a…_2`.
///
/// The executor gives ids, which depend only on the order of the input and on the outputs of the
/// stages. The root is `0`, the i-th task that a user hands in is `0_i`, the outputs for a task are
/// `parent_i`, and the output for a whole batch is `r` with 12 hex digits of the SHA-256 over the
/// parents' ids. (`nemo_curator` names the last kind at random.) Ids sort naturally, `0_9` before
/// `0_10`, and a task sorts before its children.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskId {
    origin: Origin,
    path: Vec<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Origin {
    Root,
    Aggregate([u8; DIGEST_LEN]),
}

/// Bytes of the digest in an aggregate's id: two hex digits each.
const DIGEST_LEN: usize = 6;

impl TaskId {
    /// Returns the id `0`, of the empty task that starts a pipeline without input.
    #[must_use]
    pub const fn root() -> Self {
        Self { origin: Origin::Root, path: Vec::new() }
    }

    /// Returns the id of the `index`-th task (from 0) made from this one.
    #[must_use]
    pub fn child(&self, index: u64) -> Self {
        let mut path = Vec::with_capacity(self.path.len() + 1);
        path.extend_from_slice(&self.path);
        path.push(index);
        Self { origin: self.origin, path }
    }

    /// Returns the id of a task made from several.
    ///
    /// It depends on the set of tasks and not on their order, since some engines reorder tasks in a
    /// batch.
    #[must_use]
    pub fn aggregate<'a>(parents: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut parents: Vec<&Self> = parents.into_iter().collect();
        parents.sort_unstable();
        let mut hasher = Sha256::new();
        hasher.update(b"stage/aggregate/v1\n");
        for parent in parents {
            let text = parent.to_string();
            hasher.update((text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let mut short = [0; DIGEST_LEN];
        short.copy_from_slice(&digest[..DIGEST_LEN]);
        Self { origin: Origin::Aggregate(short), path: Vec::new() }
    }

    /// Returns the task that this one was made from: `None` for the root, and for an aggregate,
    /// which has several.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let (_, path) = self.path.split_last()?;
        Some(Self { origin: self.origin, path: path.to_vec() })
    }
}

impl Default for TaskId {
    /// Returns the root.
    fn default() -> Self {
        Self::root()
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::Root => f.write_str("0")?,
            Origin::Aggregate(digest) => write!(f, "r{}", hex::encode(digest))?,
        }
        self.path.iter().try_for_each(|index| write!(f, "_{index}"))
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskId({self})")
    }
}

impl From<TaskId> for String {
    fn from(id: TaskId) -> Self {
        id.to_string()
    }
}

/// Reads exactly what `Display` writes.
pub(super) fn parse(text: &str) -> Option<TaskId> {
    let mut parts = text.split('_');
    let origin = match parts.next()? {
        "0" => Origin::Root,
        first => Origin::Aggregate(parse_digest(first.strip_prefix('r')?)?),
    };
    let path = parts.map(parse_index).collect::<Option<_>>()?;
    Some(TaskId { origin, path })
}

fn parse_digest(text: &str) -> Option<[u8; DIGEST_LEN]> {
    let mut digest = [0; DIGEST_LEN];
    hex::decode_to_slice(text, &mut digest).ok()?;
    // `hex` takes either case, and an id has one text.
    (!text.bytes().any(|digit| digit.is_ascii_uppercase())).then_some(digest)
}

fn parse_index(text: &str) -> Option<u64> {
    let canonical = text == "0" || !text.starts_with('0');
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    if canonical && digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::TaskId;

    fn id(text: &str) -> TaskId {
        text.parse().unwrap()
    }

    #[test]
    fn ids_sort_naturally() {
        let mut ids = ["0_10", "0_9", "r00000000000a", "0", "0_9_2", "0_9_11"].map(id);
        ids.sort();
        assert_eq!(
            ids.map(|id| id.to_string()),
            ["0", "0_9", "0_9_2", "0_9_11", "0_10", "r00000000000a"]
        );
    }

    #[test]
    fn only_the_canonical_text_is_an_id() {
        for text in [
            "",
            "1",
            "00",
            "0_",
            "_0",
            "0_01",
            "0_+1",
            "0_-1",
            "0__1",
            "0_a",
            "0 ",
            "r",
            "r1",
            "r00000000000A",
            "r0000000000000",
            "0_18446744073709551616",
            "r0000000000é",
        ] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_aggregate_has_a_golden_id() {
        let parents = [id("0_0"), id("0_1")];
        assert_eq!(TaskId::aggregate(&parents).to_string(), "r29ed79791e5a");
        assert_eq!(TaskId::aggregate(&parents), TaskId::aggregate(parents.iter().rev()));
    }
}
