//! Groups of source tasks with shared outputs, which are valid only if all tasks of the group
//! succeeded.

use std::collections::{BTreeMap, BTreeSet};

use stage::Task;

use super::failure::FailedTask;
use super::intake::Ended;

/// Collects outputs until all the tasks that they were made from have ended.
///
/// The outputs of a task are kept or redone as a whole. If one of its children fails, the outputs
/// of the others must not be kept, or redoing the task would produce them twice. An aggregate joins
/// the tasks that it was made from.
#[derive(Debug, Default)]
pub struct Groups {
    open: BTreeMap<u64, Open>,
    /// The group of each task that has outputs in common with others.
    group_of: BTreeMap<u64, u64>,
}

/// A group, stored by the number of one of its members.
#[derive(Debug, Default)]
struct Open {
    members: BTreeSet<u64>,
    group: Group,
}

/// Tasks with shared outputs, which are finished together.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Group {
    /// The tasks, by their numbers.
    pub tasks: BTreeMap<u64, Ended>,
    /// The outputs of these tasks.
    pub outputs: Vec<Task>,
}

impl Group {
    /// Returns whether all of its tasks succeeded completely.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.tasks.values().all(|ended| ended.is_complete && ended.failures.is_empty())
    }

    /// Returns the failures of its tasks, each once.
    #[must_use]
    pub fn failures(&self) -> Vec<&FailedTask> {
        let mut seen = BTreeSet::new();
        let all = self.tasks.values().flat_map(|ended| &ended.failures);
        all.filter(|failed| seen.insert((&failed.tasks, &failed.stage))).collect()
    }
}

impl Groups {
    /// Keeps an output, which is [followed](crate::run::Intake). The caller must drop the output
    /// afterwards; otherwise its sources never end.
    pub fn came_out(&mut self, task: &Task) {
        let members = task.sources().iter().map(|source| source.index());
        if let Some((_, open)) = self.open(members) {
            // Without its sources, which would never end otherwise.
            open.group.outputs.push(task.clone().without_source());
        }
    }

    /// Notes the end of a task, and returns its group if that was the last task of it.
    pub fn ended(&mut self, ended: Ended) -> Option<Group> {
        let (name, open) = self.open(std::iter::once(ended.index))?;
        open.group.tasks.insert(ended.index, ended);
        if open.group.tasks.len() < open.members.len() {
            return None;
        }
        let open = self.open.remove(&name)?;
        for member in &open.members {
            self.group_of.remove(member);
        }
        Some(open.group)
    }

    /// Returns the group of these tasks, and merges their groups if there were several.
    fn open(&mut self, members: impl Iterator<Item = u64>) -> Option<(u64, &mut Open)> {
        let members: BTreeSet<u64> = members.collect();
        let known = members.iter().filter_map(|member| self.group_of.get(member).copied());
        let parts: BTreeSet<u64> = known.collect();
        // The largest takes in the others, so that few entries move.
        let size = |name: &u64| self.open.get(name).map_or(0, Open::size);
        let name = parts.iter().copied().max_by_key(size).or(members.first().copied())?;
        let mut more = Open { members, ..Open::default() };
        for part in parts.into_iter().filter(|part| *part != name) {
            more.take_in(self.open.remove(&part).unwrap_or_default());
        }
        self.group_of.extend(more.members.iter().map(|member| (*member, name)));
        let open = self.open.entry(name).or_default();
        open.take_in(more);
        Some((name, open))
    }
}

impl Open {
    fn size(&self) -> usize {
        self.members.len() + self.group.outputs.len()
    }

    fn take_in(&mut self, other: Self) {
        self.members.extend(other.members);
        self.group.tasks.extend(other.group.tasks);
        self.group.outputs.extend(other.group.outputs);
    }
}
