//! What the subjects share.

use std::path::{Path, PathBuf};

use curator::stage::BaseSpec;
use curator::{LocalExecutor, PythonStage};

use crate::bases::MeasuredBase;
use crate::peers::script;
use crate::sample::{Sample, timed};
use crate::world::World;

/// What all subjects share.
pub(super) struct Lab<'a> {
    pub(super) world: &'a World,
    /// A small base. The pools use its interpreter, too.
    pub(super) small: &'a MeasuredBase,
    /// A cache for subjects that are not about caches.
    pub(super) cache: PathBuf,
    pub(super) quick: bool,
}

impl Lab<'_> {
    pub(super) fn runs(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    pub(super) fn python(&self) -> &Path {
        &self.small.python
    }

    pub(super) fn base(&self) -> BaseSpec {
        self.small.base()
    }

    pub(super) fn executor(&self) -> LocalExecutor {
        World::executor(&self.base(), &self.cache)
    }
}

/// Times a copy in pieces of these sizes, one after another, between warm areas of memory.
pub(super) fn copy(pieces: &[usize]) -> Sample {
    let size = pieces.iter().sum();
    let (from, mut to) = (vec![1_u8; size], vec![2_u8; size]);
    let copies = (0..15).map(|_| {
        let copy_all = || {
            let (mut from, mut to) = (std::hint::black_box(&*from), &mut *to);
            for piece in pieces {
                let (source, target);
                (source, from) = from.split_at(*piece);
                (target, to) = to.split_at_mut(*piece);
                target.copy_from_slice(source);
            }
        };
        let ((), seconds) = timed(copy_all);
        assert!(std::hint::black_box(&to).last() == from.last(), "it is copied");
        seconds
    });
    Sample::new(copies.collect())
}

/// Returns a stage of these measurements that takes one task at a time.
pub(crate) fn stage(class: &str) -> PythonStage {
    PythonStage::from_file(script("stages.py"), class).with_batch_size(1)
}
