"""The program's other end: frames to it and from it, and threads that keep them going."""

import atexit
import json
import operator
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
from curator._program import Folder, start
from curator._shared import shared
from curator._table import Body

__all__ = ["BYE", "NOTE", "OUTPUT", "REPORT", "Session"]

_frames = shared("curator_frames")

OPEN, TASK, END, CANCEL = 32, 33, 34, 35
BYE, NOTE, CREDIT, OUTPUT, SOURCE_DONE, REPORT = 69, 70, 96, 97, 98, 99

# Maximum of waiting outputs; above it, the program waits for the consumer.
_MOST_FRAMES = 1024
_MOST_BYTES = 32 << 20
# Time limit for the program to end after its client has closed.
_END_SECONDS = 10

# Its kind, its number, its meta and its body.
Frame = tuple[int, int, str, Body]
ToSend = tuple[int, bytes, Body]
_body_of = operator.itemgetter(3)
# Nothing follows it.
_LAST: ToSend = (0, b"", b"")


class Session:
    """One run of the program."""

    def __init__(self, request: dict[str, Any], cache_dir: Optional[Folder]) -> None:
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
        # Frames as they came together, with their size; what of them the taker of outputs has in
        # hand; and how many there are in all.
        self._arrived: deque[tuple[list[Frame], int]] = deque()
        self._in_hand: deque[Frame] = deque()
        self._arrived_frames = self._arrived_bytes = 0
        self._credit = [0, 0]
        # Tasks that wait to be sent.
        self._unsent: deque[ToSend] = deque()
        self._has_unsent = threading.Event()
        self._is_over = False  # Nothing more arrives.
        self._is_closed = False
        self.source_error: Optional[BaseException] = None
        _open_sessions.add(self)
        self._send([(OPEN, json.dumps(request).encode(), b"")])
        self._begin("curator-reader", self._read)

    def _begin(self, name: str, run: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=run, args=arguments, name=name, daemon=True).start()

    def _send(self, frames: Iterable[ToSend]) -> bool:
        """Sends frames; False if they are not taken any more."""
        with self._sending:
            try:
                self._channel.send_all(frames)
            except OSError:
                return False
        return True

    # In the thread that reads.

    def _read(self) -> None:
        try:
            is_last = False
            while not is_last:
                frames = self._channel.receive_all()
                if not frames:
                    break
                is_last = frames[-1][0] == BYE
                self._keep(frames)
        except (OSError, RuntimeError, ValueError):
            pass  # The end of the socket, however it came.
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def _keep(self, frames: list[Frame]) -> None:
        outputs = [frame for frame in frames if frame[0] != CREDIT]
        if len(outputs) < len(frames):
            granted = [json.loads(frame[2]) for frame in frames if frame[0] == CREDIT]
            with self._changed:
                for tasks, room in granted:
                    self._credit[0] += tasks
                    self._credit[1] += room
                self._changed.notify_all()
        if not outputs:
            return
        size = sum(map(len, map(_body_of, outputs)))
        with self._changed:
            while not self._has_room() and not self._is_closed:
                self._changed.wait()
            self._arrived.append((outputs, size))
            self._arrived_frames += len(outputs)
            self._arrived_bytes += size
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._arrived_frames < _MOST_FRAMES and self._arrived_bytes < _MOST_BYTES

    # In the thread that asks for tasks, and the one that sends them.

    def feed(self, items: Iterable[Any], encode: Callable[[Any, int], tuple[bytes, Body]]) -> None:
        """Sends items as the program has room for them.

        They are asked for in a thread of their own, and sent from another: so many go together, and
        none waits for the next one.
        """
        self._begin("curator-tasks", self._feed, items, encode)
        self._begin("curator-sender", self._send_tasks)

    def _feed(self, items: Iterable[Any], encode: Callable[[Any, int], tuple[bytes, Body]]) -> None:
        iterator: Any = None
        try:
            iterator = iter(items)
            index = 0
            is_over = False
            # Nothing is asked for before there is room for it.
            while not is_over and (credit := self._wait_for_credit()):
                tasks, room = credit
                count = size = 0
                while count < tasks and size < room and not self._is_closed:
                    try:
                        item = next(iterator)
                    except StopIteration:
                        is_over = True
                        break
                    head, body = encode(item, index)
                    index += 1
                    count += 1
                    size += len(body)
                    self._unsent.append((TASK, head, body))
                    if not self._has_unsent.is_set():
                        self._has_unsent.set()
                with self._changed:
                    self._credit[0] -= count
                    self._credit[1] -= size
            if is_over:
                self._unsent.append((END, b"{}", b""))
        except BaseException as error:
            with self._changed:
                self.source_error = error
                self._changed.notify_all()
        finally:
            self._unsent.append(_LAST)
            self._has_unsent.set()
            # It may hold files open, or have work to end.
            close = getattr(iterator, "close", None)
            if callable(close) and iterator is not items:
                close()

    def _send_tasks(self) -> None:
        while not self._is_closed:
            self._has_unsent.wait()
            self._has_unsent.clear()
            frames = [self._unsent.popleft() for _ in range(len(self._unsent))]
            is_last = bool(frames) and frames[-1] is _LAST
            if not self._send(frames[:-1] if is_last else frames) or is_last:
                return

    def _wait_for_credit(self) -> Optional[tuple[int, int]]:
        """How many tasks may be sent, and how many bytes of them; None if no more are wanted."""
        with self._changed:
            while not (self._credit[0] > 0 and self._credit[1] > 0):
                if self._is_closed or self._is_over:
                    return None
                self._changed.wait()
            if self._is_closed or self._is_over:
                return None
            return self._credit[0], self._credit[1]

    # In the thread that takes outputs.

    def receive(self) -> Frame:
        """The next frame; raises what the source of tasks raised, and where the program ended."""
        while self.source_error is None:
            try:
                return self._in_hand.popleft()
            except IndexError:
                pass
            # What it raises, such as Ctrl-C, is no consequence of that.
            if not self._take():
                break
        if self.source_error is not None:
            raise self.source_error
        if self._is_closed:
            raise EngineError("the run has been closed")
        code = self._wait()
        raise EngineError(
            f"the program that runs pipelines ended in the middle of its work ({_ended(code)})",
            hint="what it printed on the standard error stream may say why",
        )

    def _take(self) -> bool:
        """Takes what has arrived in hand, once there is something; False if nothing more comes."""
        with self._changed:
            while not self._arrived:
                if self._is_over or self._is_closed or self.source_error is not None:
                    return False
                self._changed.wait()
            frames, size = self._arrived.popleft()
            self._arrived_frames -= len(frames)
            self._arrived_bytes -= size
            self._changed.notify_all()
        self._in_hand.extend(frames)
        return True

    def cancel(self, *, at_once: bool) -> None:
        """Has the run end before its end."""
        self._send([(CANCEL, json.dumps({"at_once": at_once}).encode(), b"")])

    def close(self) -> None:
        """Ends the program, wherever it is; once is enough."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify_all()
        self._has_unsent.set()
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
        self._in_hand.clear()
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


def _at_exit() -> None:
    """While threads still run: later they may stand still with a lock that the end needs."""
    for session in list(_open_sessions):
        session.close()


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
