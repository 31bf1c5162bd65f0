//! The board of a run, shared by those who change it and those who show it.

use std::sync::Arc;

use curator::backends::sync::{Mutex, MutexGuard};

use super::board::Board;

pub(super) struct Shared {
    board: Mutex<Board>,
}

impl Shared {
    pub(super) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock()
    }

    pub(super) fn new(board: Board) -> Arc<Self> {
        Arc::new(Self { board: Mutex::new(board) })
    }
}
