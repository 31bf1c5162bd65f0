"""Frames over the socket between the engine and what it has started.

The Rust side of the same format is `worker/wire/frame.rs`.
"""

import os
import sys

__all__ = ["Channel"]

_MAGIC = 0x5543  # "CU", little-endian
_VERSION = 3
_HEADER = "<HBBIQQQ"  # magic, version, kind, reserved, sequence, meta length, body length
_HEADER_SIZE = 32
_MAX_META = 1 << 28
_MAX_BODY = 1 << 40

START, SETUP, BATCH, ARENAS, FORK, SIGNAL, REAP = 1, 2, 3, 5, 6, 7, 8
STAY, VISIT, ASK, LEAVE = 9, 10, 11, 12
PROOF, READY, RESULT, FAILED, BYE, LOADED, DONE = 65, 66, 67, 68, 69, 71, 72

# Results wait for company until this many bytes or nanoseconds have gathered, but never while the
# worker has nothing else to do.
_FLUSH_BYTES = 1 << 16
FLUSH_NANOSECONDS = 2_000_000
# From this many bytes on, memory is worth a mapping of its own.
_LARGE = 4 << 20


def _room(length):
    """Memory for what is received, which the kernel hands out in large pages where it is large: one
    fault for each small page costs more than what is received."""
    if length < _LARGE:
        return bytearray(length)
    import mmap

    try:
        room = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        room.madvise(mmap.MADV_HUGEPAGE)
    except (AttributeError, OSError):  # This system or this Python has none.
        return bytearray(length)
    return memoryview(room)


class Channel:
    """Frames over the control socket."""

    def __init__(self, socket, struct):
        self._socket = socket
        header = struct.Struct(_HEADER)
        self._pack, self._unpack_from = header.pack, header.unpack_from
        self._buffer = bytearray(1 << 16)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._out = []
        self._out_bytes = 0
        self._has_large = False
        self.descriptors = []
        # Open files that are kept for as long as this process lives, unless it becomes another.
        self.held = []
        # The room for open files that may come with a frame; none where none ever do.
        self._ancillary = self._flags = 0
        self._rights = None

    def close(self):
        self._socket.close()

    def fileno(self):
        return self._socket.fileno()

    def has_pending(self):
        return self._end > self._start

    def receive(self):
        """The next frame as (kind, sequence, meta text, body), or None when the socket closed."""
        if self._end - self._start < _HEADER_SIZE and not self._fill_to(_HEADER_SIZE):
            return None
        start = self._start
        fields = self._unpack_from(self._buffer, start)
        magic, version, kind, _, sequence, meta_length, body_length = fields
        if magic != _MAGIC or version != _VERSION:
            raise RuntimeError(f"not a frame of version {_VERSION}: {fields}")
        if meta_length > _MAX_META or body_length > _MAX_BODY:
            raise RuntimeError(f"a frame of {meta_length} and {body_length} bytes is too large")
        start += _HEADER_SIZE
        middle = start + meta_length
        end = middle + body_length
        if end <= self._end:
            # Most frames are here whole.
            self._start = end
            view = self._view
            return kind, sequence, str(view[start:middle], "utf-8"), bytes(view[middle:end])
        self._start = start
        meta = self._read(meta_length)
        body = self._read(body_length)
        if meta is None or body is None:
            return None
        return kind, sequence, str(meta, "utf-8"), body

    def receive_all(self):
        """The next frame and those that have come with it, as `receive` gives them; none when the
        socket closed."""
        first = self.receive()
        frames = [] if first is None else [first]
        view, unpack_from = self._view, self._unpack_from
        while self._end - self._start >= _HEADER_SIZE:
            start = self._start
            magic, version, kind, _, sequence, meta_length, body_length = unpack_from(view, start)
            middle = start + _HEADER_SIZE + meta_length
            end = middle + body_length
            if end > self._end or magic != _MAGIC or version != _VERSION:
                break  # `receive` has the rest come, or says what is wrong.
            meta = str(view[start + _HEADER_SIZE : middle], "utf-8")
            frames.append((kind, sequence, meta, bytes(view[middle:end])))
            self._start = end
        return frames

    def _fill_to(self, length):
        """Fills the buffer up to this length; returns False if the socket has closed.

        The buffer is larger than any such length.
        """
        have = self._end - self._start
        self._view[:have] = self._view[self._start : self._end]
        self._start, self._end = 0, have
        while self._end < length:
            if not self._fill():
                return False
        return True

    def _read(self, length):
        have = self._end - self._start
        if length <= have or (length <= len(self._buffer) and self._fill_to(length)):
            chunk = bytes(self._view[self._start : self._start + length])
            self._start += length
            return chunk
        if length <= len(self._buffer):
            return None
        chunk = _room(length)
        view = memoryview(chunk)
        view[:have] = self._view[self._start : self._end]
        self._start = self._end = 0
        while have < length:
            count = self._socket.recv_into(view[have:])
            if count == 0:
                return None
            have += count
        return chunk

    def _fill(self):
        free = self._view[self._end :]
        if self._ancillary:
            count, ancillary, _, _ = self._socket.recvmsg_into([free], self._ancillary, self._flags)
            if ancillary:
                self._keep(ancillary)
        else:
            count = self._socket.recv_into(free)
        self._end += count
        return count > 0

    def accept_files(self, _socket):
        """Keeps the open files that come with frames in `descriptors`, in their order."""
        self._ancillary = _socket.CMSG_SPACE(4 * 8)
        self._flags = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)
        self._rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)

    def _keep(self, ancillary):
        for level, kind, raw in ancillary:
            if (level, kind) == self._rights:
                for at in range(0, len(raw) - len(raw) % 4, 4):
                    descriptor = int.from_bytes(raw[at : at + 4], sys.byteorder)
                    os.set_inheritable(descriptor, False)
                    self.descriptors.append(descriptor)

    def send(self, kind, sequence, meta, parts=()):
        length = sum(map(len, parts))
        header = self._pack(_MAGIC, _VERSION, kind, 0, sequence, len(meta), length)
        self._out += (header, meta, *parts)
        self._out_bytes += _HEADER_SIZE + len(meta) + length
        if length >= _FLUSH_BYTES:
            self._has_large = True

    def send_all(self, frames):
        """Sends frames, each of a kind, a meta and a body."""
        pack, out, size = self._pack, self._out, 0
        for kind, meta, body in frames:
            length = len(body)
            out += (pack(_MAGIC, _VERSION, kind, 0, 0, len(meta), length), meta, body)
            size += _HEADER_SIZE + len(meta) + length
            if length >= _FLUSH_BYTES:
                self._has_large = True
        self._out_bytes += size
        self.flush()

    def is_full(self):
        return self._out_bytes >= _FLUSH_BYTES

    def flush(self):
        out, self._out, self._out_bytes = self._out, [], 0
        if not self._has_large:
            self._socket.sendall(b"".join(out))
            return
        self._has_large = False
        small = []
        for part in out:
            if len(part) < _FLUSH_BYTES:
                small.append(part)
                continue
            if small:
                self._socket.sendall(b"".join(small))
                small = []
            self._socket.sendall(part)
        if small:
            self._socket.sendall(b"".join(small))
