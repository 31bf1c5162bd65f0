"""What a stage's Python code may import, and the worker that runs it.

A stage is a class or a function in a file of yours:

    class CountWords:
        def setup(self):                  # optional, once per worker
            self.seen = 0

        def process(self, task):
            task.data["words"] = len(task.data["text"].split())
            return task

        def teardown(self):               # optional, when a worker ends in order
            pass

`process(task)` returns the new data, a `Task`, a list (each item becomes a task of its own), or
`None` (the task is dropped). `process_batch(tasks)` returns one such entry per task, or an
`Aggregate` of all of them. `setup_on_node` runs once per node and stage, before any `setup`.
The hooks may take one argument, the `Context`.

Either may be a generator, which gives what it yields: `process` the tasks that become of one,
`process_batch` an entry per task. All of these may be `async`; a worker has one event loop, from
the first coroutine to the end of `teardown`.

Nothing in this file needs anything but Python 3.9 and its standard library, and importing it does
nothing, so a stage can be tested in plain Python, outside any worker:

    from curator_stage import Task
    assert CountWords().process(Task({"text": "a b"})).data["words"] == 2

Started as a program it is a worker: it speaks frames over the socket that it gets as standard
input, and ends when that closes.
"""

import os
import sys
from itertools import chain

__all__ = ["Aggregate", "Context", "Task"]


class Task:
    """One unit of work: its data, and where it comes from.

    `data` is what JSON can hold, `bytes`, or a table; what else becomes JSON and what is refused is
    in the table "What a stage may return" of `docs/pipeline-files.md`. `metadata` is a dict that
    travels along. `id` is given by the framework: what a stage writes there is not kept.

    A table comes as a `pyarrow.Table` where the stage's environment has `pyarrow`, else as a
    `curator_table.Table`, which needs nothing and has the same names for the same things. It may be
    kept for as long as the stage likes: its columns are the memory that it came in, which nobody
    uses for anything else while any of them is there. What may be returned is a `pyarrow.Table` or
    `RecordBatch`, a `curator_table.Table` in any environment, or a `pandas.DataFrame` where there
    is `pyarrow` as well.
    """

    __slots__ = ("data", "dataset_name", "id", "metadata")
    __module__ = "curator_stage"

    def __init__(self, data=None, metadata=None, dataset_name="", id="0"):
        self.data = data
        self.metadata = {} if metadata is None else metadata
        self.dataset_name = dataset_name
        self.id = id

    def to_pandas(self):
        """The table as a `pandas.DataFrame`, which is a copy."""
        if hasattr(self.data, "to_pandas"):
            return self.data.to_pandas()
        import pandas

        return pandas.DataFrame(self.to_numpy())

    def to_numpy(self):
        """The columns of the table by name, as numpy arrays: views of it, which are not writable,
        where a column has numbers in one piece and no nulls, else copies."""
        columns = {}
        for name, column in zip(self.data.column_names, self.data.columns):
            if hasattr(column, "combine_chunks"):
                whole = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
                columns[name] = whole.to_numpy(zero_copy_only=False)
            else:
                columns[name] = column.to_numpy()
        return columns

    def __eq__(self, other):
        if not isinstance(other, Task):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in Task.__slots__)

    __hash__ = None

    def __repr__(self):
        return f"Task(id={self.id!r}, dataset_name={self.dataset_name!r}, data={self.data!r})"


class Aggregate:
    """What `process_batch` returns to turn a whole batch into `outputs`, whatever their number.

    Each output is a value or a `Task`; its parents are all the tasks of the batch.
    """

    __slots__ = ("outputs",)
    __module__ = "curator_stage"

    def __init__(self, outputs):
        self.outputs = list(outputs)


class Context:
    """Where a hook runs: `stage`, `worker` (from 0), `node`, and the environment's key or None."""

    __slots__ = ("environment", "node", "stage", "worker")
    __module__ = "curator_stage"

    def __init__(self, stage="", worker=0, node="", environment=None):
        self.stage = stage
        self.worker = worker
        self.node = node
        self.environment = environment


# Frames. The Rust side of the same format is `wire/frame.rs`.

_MAGIC = 0x5543  # "CU", little-endian
_VERSION = 3
_HEADER = "<HBBIQQQ"  # magic, version, kind, reserved, sequence, meta length, body length
_HEADER_SIZE = 32
_MAX_META = 1 << 28
_MAX_BODY = 1 << 40

_START, _SETUP, _BATCH, _ARENAS = 1, 2, 3, 5
_PROOF, _READY, _RESULT, _FAILED, _BYE, _LOADED = 65, 66, 67, 68, 69, 71

# Results wait for company until this many bytes or nanoseconds have gathered, but never while the
# worker has nothing else to do.
_FLUSH_BYTES = 1 << 16
_FLUSH_NANOSECONDS = 2_000_000


async def _coroutine():
    pass


async def _async_generator():
    yield


def _kind_of(coroutine):
    coroutine.close()
    return type(coroutine)


# What a stage's code has to be run for yet.
_GENERATOR = type(item for item in ())
_COROUTINE = _kind_of(_coroutine())
_ASYNC_GENERATOR = type(_async_generator())
_LAZY = frozenset((_GENERATOR, _COROUTINE, _ASYNC_GENERATOR))


class _Channel:
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
        # The room for open files that may come with a frame; none where none ever do.
        self._ancillary = self._flags = 0
        self._rights = None

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

    def _fill_to(self, length):
        """Has so many bytes in the buffer, of which there are fewer; False when the socket closed.

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
        chunk = bytearray(length)
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


_ALIGNMENT = 64


class _Arenas:
    """The memory that is shared with the engine: one part to read, one to write.

    The engine says which bytes of it are whose; what is written is told by its length alone.
    """

    def __init__(self):
        self._files = (None, None)
        self._size = 0
        self._input = None
        self._output = None

    def replace(self, files, size):
        # Whoever still has a view of the old memory keeps it.
        self._input = self._output = None
        for file in self._files:
            if file is not None:
                os.close(file)
        self._files = files
        self._size = size

    def read(self, start, end):
        """A view of what stands there, which the engine may change once the batch is answered."""
        if self._input is None:
            try:
                import mmap

                memory = mmap.mmap(self._files[0], self._size, prot=mmap.PROT_READ)
            except (ImportError, OSError):  # No room for it, as `ulimit -v` may have it.
                return memoryview(os.pread(self._files[0], end - start, start))
            self._input = memoryview(memory)
        return self._input[start:end]

    def room(self, start, end):
        """A view to write there; None where there is no room for it in this process."""
        if self._output is None:
            try:
                import mmap

                self._output = memoryview(mmap.mmap(self._files[1], self._size))
            except (ImportError, OSError):
                return None
        return self._output[start:end]


def _normal_name(name):
    """PEP 503, without the cost of importing `re` for it."""
    name = name.lower().replace("_", "-").replace(".", "-")
    while "--" in name:
        name = name.replace("--", "-")
    return name


def _visible_versions(wanted):
    """Every version of the wanted distributions that `sys.path` shows, by folder name alone where
    that has the version."""
    found = {name: [] for name in wanted}
    if not found:
        return found
    unnamed = []
    for folder in sys.path:
        try:
            names = os.listdir(folder or ".")
        except OSError:
            continue
        for entry in names:
            if entry.endswith(".dist-info"):
                stem = entry[:-10]
            elif entry.endswith(".egg-info"):
                stem = entry[:-9].split("-py")[0]
            else:
                continue
            name, dash, version = stem.partition("-")
            versions = found.get(_normal_name(name))
            if versions is not None and not dash:
                unnamed.append((versions, os.path.join(folder or ".", entry, "PKG-INFO")))
            elif versions is not None and version not in versions:
                versions.append(version)
    for versions, path in unnamed:
        if not versions and (version := _version_in(path)):
            versions.append(version)
    return found


def _version_in(path):
    """The version that the metadata of a distribution tells."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((line[8:].strip() for line in file if line.startswith("Version:")), None)
    except OSError:
        return None


def _environment_key(json):
    """The key in the manifest of the environment that this interpreter belongs to."""
    try:
        with open(os.path.join(sys.prefix, "manifest.json"), encoding="utf-8") as file:
            key = json.load(file).get("key")
    except (OSError, ValueError, AttributeError):
        return None
    return key if isinstance(key, str) else None


def _follow_parent(lifeline, group):
    """Has the kernel kill this whole process group when the parent's end of the pipe closes.

    A signal to the group also reaches the children that the stage's code started, needs no thread,
    and works while C code holds the interpreter.
    """
    import fcntl
    import select
    import signal

    # The group is the parent's word, and never one that this process has not been put into.
    if not hasattr(fcntl, "F_SETSIG") or os.getpgrp() != group:
        return
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -group)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # It closed before the kernel was asked to watch it.
        os.killpg(0, signal.SIGKILL)


def _load(code, args):
    """The object that does the work: an instance, or a function bound to its arguments."""
    import importlib

    if "file" in code:
        path = code["file"]
        folder, base = os.path.split(path)
        name = os.path.splitext(base)[0]
        if folder not in sys.path:
            sys.path.append(folder)
        other = sys.modules.get(name)
        if other is not None:
            raise ImportError(
                f"the stage file {path} would hide the module {name!r}"
                f" ({getattr(other, '__file__', 'built in')}): rename the file"
            )
        import importlib.util

        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None:
            raise ImportError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(code["module"])
    found = module
    for part in code["name"].split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = ", ".join(n for n in dir(found) if not n.startswith("_")) or "nothing"
            raise AttributeError(
                f"{module.__name__} has no {code['name']!r}; it defines {known}"
            ) from None
    positional, named = ((), args) if isinstance(args, dict) else (args or (), {})
    if isinstance(found, type):
        return found(*positional, **named)
    if hasattr(found, "process") or hasattr(found, "process_batch"):
        return found
    if not callable(found):
        raise TypeError(f"{code['name']!r} is neither a class nor a function")
    if not (positional or named):
        return _Function(found, found)
    return _Function(found, lambda task: found(task, *positional, **named))


class _Function:
    """A plain function as a stage."""

    def __init__(self, function, process):
        self.function = function
        self.process = process


# How the names of settings begin and end: a mistake is in either of them, or in between.
_HEADS = frozenset(("ba", "in", "nu", "ou", "ra", "re", "ru", "ta", "xe"))
_TAILS = frozenset(("de", "ds", "ec", "es", "ks", "nv", "rs", "ts", "ze"))


def _declared(stage):
    """What the stage's code declares about itself: most declare nothing, and pay for no more than a
    look at their names."""
    if isinstance(stage, _Function):
        stage = stage.function
    names = set(getattr(stage, "__dict__", ()))
    for kind in type(stage).__mro__:
        names.update(vars(kind))
    if "__getattr__" not in names and not any(
        name[:2].lower() in _HEADS or name[-2:].lower() in _TAILS
        for name in names
        if isinstance(name, str) and name[:1] != "_"
    ):
        return {}
    from curator_declared import declared

    return declared(stage, {name for name in names if isinstance(name, str)})


def _describe_error(error):
    """The user's error as plain data, its traceback without the frames of this file."""
    import traceback

    trace = error.__traceback__
    while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    try:
        lines = traceback.format_exception(type(error), error, trace)
    except Exception as second:  # An error whose text cannot be made must still be reported.
        lines = [f"{type(error).__name__} (its text failed with {type(second).__name__})\n"]
    try:
        message = str(error)
    except Exception:
        message = "(no text)"
    return {
        "type": type(error).__qualname__,
        "message": _printable(message),
        "traceback": _printable("".join(lines)),
    }


def _is_ours(file):
    """Whether a frame in this file is none of the stage's: of the worker's, or of its loop's."""
    if file == __file__ or os.path.basename(file) == "curator_loop.py":
        return True
    return file == getattr(sys.modules.get("asyncio.base_events"), "__file__", None)


def _whole(generator):
    """A list of what a generator yields."""
    left = []

    def delegate():
        left.append((yield from generator))

    items = list(delegate())
    if left[0] is not None:
        raise TypeError(
            f"the generator returned a {type(left[0]).__name__}, which nobody gets: a function with"
            " `yield` in it gives only what it yields"
        )
    return items


def _printable(text):
    """The text without lone surrogates, which no UTF-8 can carry."""
    return text.encode("utf-8", "backslashreplace").decode()


def _takes_argument(hook):
    """Whether a hook wants the context: looks through decorators, as `inspect.signature` does."""
    function = getattr(hook, "__func__", hook)
    is_bound = function is not hook
    while hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is not None:
        return code.co_argcount > is_bound
    import inspect  # Costs milliseconds, and only `functools.partial` and its like need it.

    try:
        parameters = inspect.signature(hook).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(parameter.kind in positional for parameter in parameters)


# What JSON has a form for: of which nothing has to be looked into, and all of it.
_PLAIN = frozenset((str, int, float, bool, type(None)))
_KNOWN = (dict, list, tuple, str, int, float, type(None))


def _stand_in(value):
    """What JSON has for a value of another kind."""
    from curator_json import stand_in

    return stand_in(value)


def _has_text_keys(value):
    """Whether all keys in a value are text. JSON's encoder takes numbers and None for keys, too,
    and makes text of them, so that they come out as others, or two as one. It has seen the value
    before: there is no circle in it."""
    if type(value) is dict:
        # Most are flat.
        try:
            "".join(value)
        except TypeError:
            return False
        if _PLAIN.issuperset(map(type, value.values())):
            return True
    level = (value,)
    while level:
        keyed = [holder for holder in level if isinstance(holder, dict)]
        listed = [holder.values() for holder in keyed]
        if len(keyed) < len(level):
            listed += [holder for holder in level if isinstance(holder, (list, tuple))]
            others = [holder for holder in level if not isinstance(holder, _KNOWN)]
            listed.append([_stand_in(holder) for holder in others])
        try:
            "".join(chain.from_iterable(keyed))
        except TypeError:
            return False
        # A level at a time, so that the loops over what is plain are not Python's.
        if _PLAIN.issuperset(map(type, chain.from_iterable(listed))):
            return True
        level = [item for item in chain.from_iterable(listed) if type(item) not in _PLAIN]
    return True


def _of_any_size(function, *arguments):
    """Calls what reads or writes JSON. Python refuses integers of more than some thousand digits,
    to be safe from strangers' texts; what goes through here is a task's own data."""
    try:
        return function(*arguments)
    except ValueError:
        if not hasattr(sys, "set_int_max_str_digits"):
            raise
    most = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return function(*arguments)
    finally:
        sys.set_int_max_str_digits(most)


def _let_go(view):
    """Gives a view back; False if something still looks through it."""
    try:
        view.release()
    except BufferError:
        return False
    return True


def _keys(data):
    """The keys of a dict, or the columns of a table."""
    if isinstance(data, dict):
        return data
    return data.column_names if _as_table(data) is data else ()


# Tables. They cross as streams of Arrow's IPC format: `pyarrow` reads them where it is, and
# `curator_table.py` where it is not.


def _open_table(view):
    """The table in a stream, over the same memory."""
    global _open_stream
    if _open_stream is None:
        _open_stream = _opener()
    return _open_stream(view)


_open_stream = None


def _opener():
    try:
        import pyarrow
    except ImportError:
        from curator_table import Table

        return Table.from_stream

    def open_stream(view):
        with pyarrow.ipc.open_stream(pyarrow.py_buffer(view)) as reader:
            return reader.read_all()

    return open_stream


def _as_table(data):
    """What a stage may return as a table, as a `Table` of either module; else None."""
    root = type(data).__module__.partition(".")[0]
    if root == "curator_table":
        from curator_table import Table

        return data if isinstance(data, Table) else None
    if root not in ("pyarrow", "pandas"):
        return None
    if root == "pandas":
        import pandas

        if not isinstance(data, pandas.DataFrame):
            return None
        try:
            import pyarrow
        except ImportError as error:
            raise ImportError(
                "a DataFrame crosses as an Arrow table, and this stage's environment has no"
                f" pyarrow: add it to its runtime_env ({error})"
            ) from None
        return pyarrow.Table.from_pandas(data)
    import pyarrow

    if isinstance(data, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([data])
    return data if isinstance(data, pyarrow.Table) else None


def _stream(table):
    """A table as it crosses: its size is known before it is written, so that it is written once, to
    where it shall be."""
    if type(table).__module__ == "curator_table":
        return table.to_stream()
    return _PyarrowStream(table)


class _PyarrowStream:
    """What `pyarrow` makes of a table."""

    def __init__(self, table):
        import pyarrow

        self._pyarrow = pyarrow
        self._table = table
        counted = pyarrow.MockOutputStream()
        self._write(counted)
        self._size = counted.size()

    def size(self):
        return self._size

    def write_into(self, view):
        self._write(self._pyarrow.FixedSizeBufferWriter(self._pyarrow.py_buffer(view)))

    def _write(self, sink):
        with sink, self._pyarrow.ipc.new_stream(sink, self._table.schema) as writer:
            writer.write_table(self._table)


class _Worker:
    """One stage's code and the loop that feeds it."""

    def __init__(self, channel, json):
        self._channel = channel
        # Neither looks for white space around a text, nor for its encoding.
        self._decode = json.JSONDecoder().scan_once
        # `check_circular` stays on: a value that contains itself must be an error, not a crash.
        form = {"allow_nan": False, "separators": (",", ":"), "default": _stand_in}
        self._encode = json.JSONEncoder(ensure_ascii=False, **form).encode
        self._encode_escaped = json.JSONEncoder(**form).encode
        # How the outputs of the task at hand are written: as its own data is.
        self._write = self._encode
        # A child that the stage's code forks must not go on as a second worker.
        self._pid = os.getpid()
        self._stage = None
        self._inputs = ()
        self._context = Context()
        self._is_batched = False
        self.is_set_up = False
        self.arenas = _Arenas()
        self._arenas_from = None
        # The large inputs of the batch that cannot change, by what Python knows them by.
        self._given = {}
        # The input of earlier batches that the stage still has tables in, by their sequence.
        self._kept = []
        # Where the next large output goes, and where the batch's room for them ends.
        self._room_at = self._room_end = 0
        # Made when the stage gives the first coroutine.
        self._loop = None

    def load(self, start):
        self._context = Context(
            start["stage"], start["worker"], start["node"], start["environment"]
        )
        self._inputs = tuple(start["inputs"])
        self._arenas_from = start["arenas_from"]
        self._stage = _load(start["code"], start["args"])
        self._is_batched = callable(getattr(self._stage, "process_batch", None))
        if not self._is_batched and not callable(getattr(self._stage, "process", None)):
            raise TypeError(
                f"{start['code']['name']!r} has neither `process(task)` nor `process_batch(tasks)`"
            )

    def declared(self):
        return _declared(self._stage)

    def hook(self, name):
        hook = getattr(self._stage, name, None)
        if hook is None:
            return
        left = hook(self._context) if _takes_argument(hook) else hook()
        if type(left) in (_GENERATOR, _ASYNC_GENERATOR):
            raise TypeError(f"`{name}` has a `yield`, so that nothing of it would run: take it out")
        if type(left) is _COROUTINE:
            self._settled(left)

    def _settled(self, lazy):
        """What becomes of a coroutine, or a list of what a generator of either kind yields."""
        if type(lazy) is _GENERATOR:
            return _whole(lazy)
        if self._loop is None:
            from curator_loop import Loop

            self._loop = Loop()
        return self._loop.settle(lazy)

    def setup(self, on_node):
        self.hook("setup_on_node" if on_node else "setup")
        self.is_set_up = not on_node

    def teardown(self):
        try:
            self.hook("teardown")
        finally:
            if self._loop is not None:
                self._loop.close()

    def batch(self, sequence, meta, body, clock):
        """Works off a batch; gives the time at which it was done."""
        tasks = []
        writers = []
        views = []
        unreadable = {}
        at = shared_at = self._room_at = self._room_end = 0
        shares, records = _of_any_size(self._decode, meta, 0)[0]
        if shares is not None:
            shared_at, self._room_at, room = shares
            self._room_end = self._room_at + room
        for record in records:
            kind, length = record[1], record[2]
            if kind in "jbt":
                part = body
                if length != len(body):
                    part = body[at : at + length]
                    at += length
            else:
                end = shared_at + length
                part = self.arenas.read(shared_at, end)
                views.append((sequence, part))
                shared_at = end + -end % _ALIGNMENT
            write = self._encode
            try:
                if kind in "bB":
                    data = bytes(part)
                elif kind in "jJ":
                    data, write = self._value(part)
                else:
                    data = _open_table(part)
            except BaseException as error:
                data, unreadable[len(tasks)] = None, error
            writers.append(write)
            if kind in "BT" and len(tasks) not in unreadable:
                self._given[id(data)] = len(tasks), data
            # The short form of a record has neither metadata nor another dataset.
            metadata, dataset = (record[3], record[4]) if len(record) > 3 else ({}, "")
            tasks.append(Task(data, metadata, dataset, record[0]))
        parts = []
        begin = clock()
        if unreadable:
            answer = self._run_readable(tasks, writers, parts, unreadable)
        elif self._is_batched:
            answer = self._run_batch(tasks, writers, parts)
        else:
            entries = [self._run_one(task, write, parts) for task, write in zip(tasks, writers)]
            answer = f"[{','.join(entries)}]"
        end = clock()
        if os.getpid() != self._pid:
            os._exit(0)
        kept = ""
        if views or self._kept:
            # What the stage has no table in any more, the engine may use again.
            tasks = data = part = unreadable = None
            self._given = {}
            self._kept = [held for held in (*self._kept, *views) if not _let_go(held[1])]
            if self._kept:
                kept = f",{sorted({number for number, _ in self._kept})}"
        self._channel.send(_RESULT, sequence, f"[{end - begin},{answer}{kept}]".encode(), parts)
        return end

    def _run_readable(self, tasks, writers, parts, unreadable):
        """The answer about a batch of which some tasks hold what Python cannot read."""
        if self._is_batched:
            return f'{{"failed":{self._raised(next(iter(unreadable.values())))}}}'
        entries = [
            self._raised(unreadable[at])
            if at in unreadable
            else self._run_one(task, writers[at], parts)
            for at, task in enumerate(tasks)
        ]
        return f"[{','.join(entries)}]"

    def _value(self, part):
        """The value of JSON that the engine passes on, of whatever worker's it may be, and what
        writes values as that is written: with escapes for all that is not ASCII, or with none."""
        text = str(part, "utf-8")
        try:
            value, end = _of_any_size(self._decode, text, 0)
        except StopIteration as stop:
            raise ValueError(f"no JSON at {stop.value}") from None
        except RecursionError:
            raise RecursionError(
                "the data is nested deeper than this Python reads JSON: have what makes it, or a"
                " Rust stage, make it flatter"
            ) from None
        if end != len(text):
            raise ValueError(f"no JSON at {end}")
        # In ASCII also the last of its characters is an escape.
        is_escaped = "\\u" in text and text.isascii() and "\x7f" not in text
        return value, self._encode_escaped if is_escaped else self._encode

    def _raised(self, error):
        """The error, as JSON; but one in a forked child is the child's own."""
        if os.getpid() != self._pid:
            raise error
        return self._encode(_describe_error(error))

    # Answers are written as JSON at once: what a stage goes on changing was sent as it returned it.

    def _run_one(self, task, write, parts):
        metadata, dataset = task.metadata, task.dataset_name
        self._write = write
        try:
            if self._inputs:
                self._check_inputs(task)
            output = self._stage.process(task)
            if isinstance(output, Task):
                record = self._record(output.data, parts, output.metadata, output.dataset_name)
                return f"[{record}]"
            return self._entry(output, parts, metadata, dataset)
        except BaseException as error:
            return self._raised(error)

    def _run_batch(self, tasks, writers, parts):
        parents = [(task.metadata, task.dataset_name) for task in tasks]
        mark = self._room_at
        try:
            if self._inputs:
                for task in tasks:
                    self._check_inputs(task)
            outputs = self._stage.process_batch(tasks)
            while type(outputs) in _LAZY:
                outputs = self._settled(outputs)
            if isinstance(outputs, Aggregate):
                self._write = writers[0]
                outputs = self._outputs(outputs.outputs, parts, {}, parents[0][1])
                return f'{{"aggregate":{outputs}}}'
            if not isinstance(outputs, (list, tuple)):
                kind = type(outputs).__name__
                raise TypeError(f"process_batch must return a list or an Aggregate, not {kind}")
            if len(outputs) != len(tasks):
                raise ValueError(
                    f"process_batch got {len(tasks)} tasks and returned {len(outputs)} entries:"
                    " return one entry per task (None drops it), or an Aggregate"
                )
            entries = []
            for output, (metadata, dataset), self._write in zip(outputs, parents, writers):
                entries.append(self._entry(output, parts, metadata, dataset))
            return f"[{','.join(entries)}]"
        except BaseException as error:
            parts.clear()
            self._room_at = mark
            return f'{{"failed":{self._raised(error)}}}'

    def _check_inputs(self, task):
        keys = _keys(task.data)
        for name in self._inputs:
            if name not in keys:
                have = ", ".join(map(repr, keys))
                raise KeyError(
                    f"task {task.id} failed validation for stage {self._context.stage!r}:"
                    f" it needs the key {name!r}, and has {have or 'no keys'}"
                )

    def _entry(self, output, parts, metadata, dataset):
        if output is None:
            return "[]"
        if isinstance(output, list):
            return self._outputs(output, parts, metadata, dataset)
        if type(output) in _LAZY:
            return self._entry(self._settled(output), parts, metadata, dataset)
        return self._outputs((output,), parts, metadata, dataset)

    def _outputs(self, outputs, parts, metadata, dataset):
        mark, room_mark = len(parts), self._room_at
        records = []
        try:
            for output in outputs:
                if output is None:
                    continue
                if isinstance(output, Task):
                    records.append(
                        self._record(output.data, parts, output.metadata, output.dataset_name)
                    )
                else:
                    records.append(self._record(output, parts, metadata, dataset))
        except BaseException:
            del parts[mark:]
            self._room_at = room_mark
            raise
        return f"[{','.join(records)}]"

    def _record(self, data, parts, metadata, dataset):
        if metadata or dataset:
            metadata, dataset = self._described(metadata or {}, dataset)
            rest = f",{metadata},{dataset}"
        else:
            rest = ""
        if id(data) in self._given:
            # It is what came, and the engine still has that.
            return f'["=",{self._given[id(data)][0]}{rest}]'
        if isinstance(data, (bytes, bytearray, memoryview)):
            if isinstance(data, memoryview):
                data = data.cast("B") if data.nbytes and data.c_contiguous else bytes(data)
            kind, part = "b", data
        elif type(data) is not dict and (table := _as_table(data)) is not None:
            kind, part = "t", _stream(table)
        else:
            kind, part = "j", self._encoded(data, "data")
        length = part.size() if kind == "t" else len(part)
        room = self._room(length)
        if kind == "t":
            view = memoryview(bytearray(length)) if room is None else room
            part.write_into(view)
            part = view
        elif room is not None:
            room[:] = part
        # Nothing can fail from here on, so what is counted is there.
        if room is not None:
            kind = kind.upper()
            end = self._room_at + length
            self._room_at = end + -end % _ALIGNMENT
        else:
            # A copy, unless it cannot change: the stage may reuse its buffer for the next task.
            parts.append(part if kind == "t" else bytes(part))
        return f'["{kind}",{length}{rest}]'

    def _room(self, length):
        """A view of the arena for a large output; None if it is not large, or there is no room."""
        end = self._room_at + length
        if not self._room_end or end > self._room_end or length < self._arenas_from:
            return None
        return self.arenas.room(self._room_at, end)

    def _described(self, metadata, dataset):
        if not isinstance(metadata, dict):
            raise TypeError(f"metadata must be a dict, not {type(metadata).__name__}")
        if not isinstance(dataset, str):
            raise TypeError(f"dataset_name must be text, not {type(dataset).__name__}")
        metadata, dataset = self._encoded(metadata, "metadata"), self._encoded(dataset, "dataset")
        return metadata.decode(), dataset.decode()

    def _encoded(self, value, name):
        """The value as JSON, in UTF-8."""
        try:
            text = _of_any_size(self._write, value)
            try:
                encoded = text.encode()
            except UnicodeEncodeError:
                # Half of a surrogate pair, which an escape alone can carry, and Rust, which reads
                # all but the data, cannot hold.
                if name != "data":
                    raise
                encoded = _of_any_size(self._encode_escaped, value).encode()
            if type(value) in _PLAIN or _has_text_keys(value):
                return encoded
            error = "a key is no text"
        except (TypeError, ValueError, RecursionError) as caught:
            error = caught
        from curator_json import find_refused

        why = find_refused(value, name) or f"{name}: {error}"
        raise TypeError(f"the stage returned what cannot be sent: {why}")


def _work(channel, worker, is_timed, clock):
    """Works off batches until the socket closes."""
    flushed = clock()
    while True:
        frame = channel.receive()
        if frame is None:
            return
        kind, sequence, meta, body = frame
        if kind == _ARENAS:
            files, channel.descriptors = channel.descriptors[:2], channel.descriptors[2:]
            worker.arenas.replace(files, os.fstat(files[0]).st_size)
            continue
        now = worker.batch(sequence, meta, body, clock)
        if (
            is_timed
            or not channel.has_pending()
            or channel.is_full()
            or now - flushed > _FLUSH_NANOSECONDS
        ):
            channel.flush()
            flushed = now


def _serve():
    import _socket  # The public `socket` module costs milliseconds that this needs nothing of.
    import json
    import struct
    from time import perf_counter_ns

    # The module that stage code imports is this one, not a second copy of it.
    sys.modules["curator_stage"] = sys.modules["__main__"]
    # Python 3.9 and 3.10 have no `-P`; under `-I` the folder is not there.
    folder = os.path.dirname(os.path.abspath(__file__))
    if not getattr(sys.flags, "safe_path", False) and sys.path[:1] == [folder]:
        del sys.path[0]

    control = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)

    channel = _Channel(control, struct)
    channel.accept_files(_socket)
    first = channel.receive()
    if first is None:
        return
    kind, _, meta, _ = first
    if kind != _START:
        raise RuntimeError(f"the first frame must be a start, not {kind}")
    start = _of_any_size(json.loads, meta)
    # The first descriptor is the lifeline; the rest are locks that last as long as this process.
    leases, channel.descriptors = channel.descriptors, []
    _follow_parent(leases[0], start["group"])

    def send(kind, value):
        channel.send(kind, 0, json.dumps(value).encode())
        channel.flush()

    send(
        _PROOF,
        {
            "python": sys.executable,
            "prefix": sys.prefix,
            "version": list(sys.version_info[:3]),
            "environment": _environment_key(json),
            "packages": _visible_versions(start["packages"]),
            "pid": os.getpid(),
        },
    )

    # Last on the path: whatever the environment or the stage calls by this name comes first.
    sys.path.append(folder)
    worker = _Worker(channel, json)
    pid = os.getpid()
    phase = "load"
    try:
        worker.load(start)
        # Before any hook runs: they may be the wrong environment's.
        send(_LOADED, worker.declared())
        phase = "setup"
        while not worker.is_set_up:
            frame = channel.receive()
            if frame is None:
                return
            worker.setup(json.loads(frame[2])["on_node"])
            send(_READY, {})
    except BaseException as error:
        if os.getpid() != pid:
            raise  # It is a forked child's own.
        send(_FAILED, {"phase": phase, "error": _describe_error(error)})
        return

    # Where tasks have a time limit a result must not wait behind a task that hangs.
    _work(channel, worker, start["is_timed"], perf_counter_ns)

    problem = None
    try:
        worker.teardown()
    except BaseException as error:
        if os.getpid() != pid:
            raise
        problem = _describe_error(error)
    try:
        send(_BYE, {"error": problem})
    except OSError:
        pass  # The parent is gone, and with it whoever wanted to know.


if __name__ == "__main__":
    _serve()
