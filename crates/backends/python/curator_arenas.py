"""The memory that a worker shares with the engine, for large data."""

import os

__all__ = ["ALIGNMENT", "Arenas", "let_go"]

ALIGNMENT = 64


class Arenas:
    """The memory shared with the engine: one part to read, one to write.

    The engine assigns its bytes; a worker reports only the lengths of what it wrote.
    """

    def __init__(self):
        self._files = (None, None)
        self._size = 0
        self._input = None
        self._output = None

    def replace(self, files, size):
        # Code that still has a view of the old memory keeps it.
        self._input = self._output = None
        for file in self._files:
            if file is not None:
                os.close(file)
        self._files = files
        self._size = size

    def read(self, start, end):
        """Returns a view of an input, which the engine may change once the batch is answered."""
        if self._input is None:
            try:
                import mmap

                memory = mmap.mmap(self._files[0], self._size, prot=mmap.PROT_READ)
            except (ImportError, OSError):  # No room for it, as `ulimit -v` may have it.
                return memoryview(os.pread(self._files[0], end - start, start))
            self._input = memoryview(memory)
        return self._input[start:end]

    def room(self, start, end):
        """Returns a view for writing an output; None if this process has no room for it."""
        if self._output is None:
            try:
                import mmap

                self._output = memoryview(mmap.mmap(self._files[1], self._size))
            except (ImportError, OSError):
                return None
        return self._output[start:end]


def let_go(view):
    """Releases a view; returns False if it is still in use."""
    try:
        view.release()
    except BufferError:
        return False
    return True
