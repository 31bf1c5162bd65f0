//! Choices between spellings with the same meaning.

use proptest::collection::vec;
use proptest::prelude::*;

/// A source of choices. When it is used up, it always takes the first choice, the plain spelling,
/// so that a failing case shrinks to plain spellings.
#[derive(Clone, Debug)]
pub(super) struct Spelling {
    choices: std::vec::IntoIter<u8>,
}

pub(super) fn spelling() -> impl Strategy<Value = Spelling> {
    vec(any::<u8>(), 0..64).prop_map(|choices| Spelling { choices: choices.into_iter() })
}

impl Spelling {
    pub(super) fn plain() -> Self {
        Self { choices: Vec::new().into_iter() }
    }

    /// Returns a number below `count`.
    pub(super) fn choose(&mut self, count: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % count
    }

    pub(super) fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.choose(texts.len())]
    }

    /// Returns optional blanks.
    pub(super) fn blank(&mut self) -> &'static str {
        self.one_of(&["", " ", "  ", "\t"])
    }

    /// Returns the letters, some in another case.
    pub(super) fn letters(&mut self, text: &str) -> String {
        match self.choose(3) {
            0 => text.to_owned(),
            1 => text.to_ascii_uppercase(),
            _ => text
                .chars()
                .enumerate()
                .map(|(index, c)| if index % 2 == 0 { c.to_ascii_uppercase() } else { c })
                .collect(),
        }
    }

    /// Returns the items in another order, possibly with one of them twice.
    pub(super) fn reorder<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let mut items = items.to_vec();
        if items.is_empty() {
            return items;
        }
        let shift = self.choose(items.len());
        items.rotate_left(shift);
        if self.choose(2) == 1 {
            items.reverse();
        }
        if self.choose(3) == 1 {
            items.push(items[0].clone());
        }
        items
    }
}
