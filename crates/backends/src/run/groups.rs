//! Tasks that were handed in and share what came out, which is right only where all of them went
//! well.

use std::collections::{BTreeMap, BTreeSet};

use stage::Task;

use super::failure::FailedTask;
use super::intake::Ended;

/// Gathers what comes out until all the tasks that it was made of have ended.
///
/// What a task became is kept or done again as a whole: if one of its children fails, what the
/// others became must not be kept, or doing the task again would give it twice. An aggregate ties
/// the tasks together that it was made of.
#[derive(Debug, Default)]
pub struct Groups {
    open: BTreeMap<u64, Open>,
    /// The group that a task is in, where that has come out with others.
    group_of: BTreeMap<u64, u64>,
}

/// By the number of one of its members.
#[derive(Debug, Default)]
struct Open {
    members: BTreeSet<u64>,
    group: Group,
}

/// Tasks that share what has come out, and so are finished together.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Group {
    /// The tasks, by their numbers.
    pub tasks: BTreeMap<u64, Ended>,
    /// What came out of them.
    pub outputs: Vec<Task>,
}

impl Group {
    /// Whether all of its tasks went all the way.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.tasks.values().all(|ended| ended.is_complete && ended.failures.is_empty())
    }

    /// What of its tasks failed, each once.
    #[must_use]
    pub fn failures(&self) -> Vec<&FailedTask> {
        let mut seen = BTreeSet::new();
        let all = self.tasks.values().flat_map(|ended| &ended.failures);
        all.filter(|failed| seen.insert((&failed.tasks, &failed.stage))).collect()
    }
}

impl Groups {
    /// Keeps a task that came out, which is [followed](crate::run::Intake). It is to be dropped after
    /// that, or what it was made of does not end.
    pub fn came_out(&mut self, task: &Task) {
        let members = task.sources().iter().map(|source| source.index());
        if let Some((_, open)) = self.open(members) {
            // Without its sources, which would never end then.
            open.group.outputs.push(task.clone().without_source());
        }
    }

    /// Notes the end of a task, and gives its group if that was the last of it.
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

    /// The group of these tasks, made one if they were several.
    fn open(&mut self, members: impl Iterator<Item = u64>) -> Option<(u64, &mut Open)> {
        let members: BTreeSet<u64> = members.collect();
        let known = members.iter().filter_map(|member| self.group_of.get(member).copied());
        let parts: BTreeSet<u64> = known.collect();
        // The largest takes the others in, so that nothing is moved often.
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
