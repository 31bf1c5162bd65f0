"""The program's other end: frames to it and from it, and threads that keep them going."""

import json
import os
import socket
import struct
import subprocess
import threading
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any, Callable, Optional

from curator._errors import EngineError
from curator._program import start
from curator._shared import shared

__all__ = ["BYE", "NOTE", "OUTPUT", "REPORT", "Session"]

_frames = shared("curator_frames")

OPEN, TASK, END, CANCEL = 32, 33, 34, 35
BYE, NOTE, CREDIT, OUTPUT, SOURCE_DONE, REPORT = 69, 70, 96, 97, 98, 99

# What may wait for whoever takes the outputs; the program waits, too, once that much does.
_MOST_FRAMES = 1024
_MOST_BYTES = 32 << 20
# How long the program may take to end once nobody listens to it any more.
_END_SECONDS = 10

Frame = tuple[int, str, bytes]


class Session:
    """One run of the program."""

    def __init__(self, request: dict[str, Any], cache_dir: Optional[str]) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = start(theirs, cache_dir)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self._channel = _frames.Channel(ours, struct)
        self._sending = threading.Lock()
        self._changed = threading.Condition()
        self._arrived: deque[Frame] = deque()
        self._arrived_bytes = 0
        self._credit = [0, 0]
        self._is_over = False  # Nothing more arrives.
        self._is_closed = False
        self.source_error: Optional[BaseException] = None
        _open_sessions.add(self)
        self._send(OPEN, json.dumps(request).encode())
        self._begin("curator-reader", self._read)

    def _begin(self, name: str, run: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=run, args=arguments, name=name, daemon=True).start()

    def _send(self, kind: int, meta: bytes, body: bytes = b"") -> bool:
        """Sends a frame; False if nobody takes it any more."""
        with self._sending:
            try:
                self._channel.send(kind, 0, meta, (body,) if body else ())
                self._channel.flush()
            except OSError:
                return False
        return True

    # In the thread that reads.

    def _read(self) -> None:
        try:
            while True:
                frame = self._channel.receive()
                if frame is None:
                    break
                kind, _, meta, body = frame
                if kind == CREDIT:
                    tasks, size = json.loads(meta)
                    with self._changed:
                        self._credit[0] += tasks
                        self._credit[1] += size
                        self._changed.notify_all()
                    continue
                with self._changed:
                    while not self._has_room() and not self._is_closed:
                        self._changed.wait()
                    self._arrived.append((kind, meta, body))
                    self._arrived_bytes += len(body)
                    self._changed.notify_all()
                if kind == BYE:
                    break
        except (OSError, RuntimeError, ValueError):
            pass  # The end of the socket, however it came.
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return len(self._arrived) < _MOST_FRAMES and self._arrived_bytes < _MOST_BYTES

    # In the thread that sends tasks.

    def feed(self, items: Iterable[Any], encode: Callable[[Any, int], tuple[bytes, bytes]]) -> None:
        """Sends items as the program has room for them, from a thread of its own."""
        self._begin("curator-tasks", self._feed, items, encode)

    def _feed(
        self, items: Iterable[Any], encode: Callable[[Any, int], tuple[bytes, bytes]]
    ) -> None:
        iterator: Any = None
        try:
            iterator = iter(items)
            index = 0
            # Nothing is asked for before there is room for it.
            while self._wait_for_credit():
                try:
                    item = next(iterator)
                except StopIteration:
                    self._send(END, b"{}")
                    return
                head, body = encode(item, index)
                index += 1
                with self._changed:
                    self._credit[0] -= 1
                    self._credit[1] -= len(body)
                if not self._send(TASK, head, body):
                    return
        except BaseException as error:
            with self._changed:
                self.source_error = error
                self._changed.notify_all()
        finally:
            # It may hold files open, or have work to end.
            close = getattr(iterator, "close", None)
            if callable(close) and iterator is not items:
                close()

    def _wait_for_credit(self) -> bool:
        with self._changed:
            while not (self._credit[0] > 0 and self._credit[1] > 0):
                if self._is_closed or self._is_over:
                    return False
                self._changed.wait()
            return not self._is_closed and not self._is_over

    # In the thread that takes outputs.

    def receive(self) -> Frame:
        """The next frame; raises what the source of tasks raised, and where the program ended."""
        with self._changed:
            while True:
                if self.source_error is not None:
                    raise self.source_error
                if self._arrived:
                    frame = self._arrived.popleft()
                    self._arrived_bytes -= len(frame[2])
                    self._changed.notify_all()
                    return frame
                if self._is_over or self._is_closed:
                    break
                self._changed.wait()
        if self._is_closed:
            raise EngineError("the run has been closed")
        code = self._wait()
        raise EngineError(
            f"the program that runs pipelines ended in the middle of its work ({_ended(code)})",
            hint="what it printed on the standard error stream may say why",
        )

    def cancel(self, *, at_once: bool) -> None:
        """Has the run end before its end."""
        self._send(CANCEL, json.dumps({"at_once": at_once}).encode())

    def close(self) -> None:
        """Ends the program, wherever it is; once is enough."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify_all()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._wait()
        _open_sessions.discard(self)
        self._socket.close()

    def _wait(self) -> Optional[int]:
        try:
            return self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def abandon(self) -> None:
        """In a forked child, where all this is the parent's: lets the socket go."""
        # Threads that held these are not in this process.
        self._changed, self._sending = threading.Condition(), threading.Lock()
        self._arrived.clear()
        self._is_closed = True
        self._process.returncode = 0
        self._socket.close()


def _ended(code: Optional[int]) -> str:
    if code is not None and code < 0:
        return f"by signal {-code}"
    return f"exit code {code}"


_open_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()


def _after_fork() -> None:
    for session in list(_open_sessions):
        session.abandon()


os.register_at_fork(after_in_child=_after_fork)
