//! Choices between spellings that mean the same.

use proptest::collection::vec;
use proptest::prelude::*;

/// A source of choices. With none left it always takes the first, which is the plain spelling; so
/// a failing case shrinks to plain spellings.
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

    /// A number below `count`.
    pub(super) fn choose(&mut self, count: usize) -> usize {
        usize::from(self.choices.next().unwrap_or(0)) % count
    }

    pub(super) fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.choose(texts.len())]
    }

    /// Blanks that may stand there or not.
    pub(super) fn blank(&mut self) -> &'static str {
        self.one_of(&["", " ", "  ", "\t"])
    }

    /// The same letters, some of another case.
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

    /// The same items in another order, one of them twice perhaps.
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
