"""Batches worked off: tasks are made of what came, and answers of what the stage gives for them."""

import os
import sys

import curator_streams as streams
from curator_arenas import ALIGNMENT, Arenas, let_go
from curator_code import describe_error, load, takes_argument
from curator_frames import RESULT
from curator_late import Declarations
from curator_plain import PLAIN, has_text_keys, of_any_size, without_limit, writer
from curator_stage import Aggregate, Context, Task
from curator_unread import Unread, begin, data_of, task_of

__all__ = ["Worker"]


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
_AWAITED = frozenset((_COROUTINE, _ASYNC_GENERATOR))
_LAZY = frozenset((_GENERATOR, *_AWAITED))
# What is the one output of a task, without a further look.
_ONE = frozenset((dict, str, bytes))


def _yields(generator):
    """What a generator yields, which may be all that it gives."""
    left = yield from generator
    if left is not None:
        raise TypeError(
            f"the generator returned a {type(left).__name__}, which is lost: a function with"
            " `yield` in it gives only what it yields"
        )


def _stand_in(value):
    """What JSON has for a value of another kind."""
    from curator_json import stand_in

    return stand_in(value)


def _check_count(tasks, entries):
    if tasks != entries:
        raise ValueError(
            f"process_batch got {tasks} tasks and returned {entries} entries: return one entry per"
            " task (None drops it), or an Aggregate"
        )


class Worker:
    """One stage's code and the loop that feeds it."""

    def __init__(self, channel, json):
        self._channel = channel
        # Neither looks for white space around a text, nor for its encoding.
        self._decode = json.JSONDecoder().scan_once
        self._value = begin(self._decode)
        self._encode = writer(json, False, _stand_in)
        self._encode_escaped = writer(json, True, _stand_in)
        # How the outputs of the task at hand are written: as its own data is.
        self._write = self._encode
        # A child that the stage's code forks must not go on as a second worker.
        self._pid = os.getpid()
        self._stage = None
        # The object of the stage's own code, which declares its settings.
        self._own = None
        self._keys = streams.keys
        self._inputs = ()
        # The keys that its outputs have, until one has been found to lack some.
        self._promised = ()
        self._lacking = []
        self._context = Context()
        self._is_batched = False
        self.is_set_up = False
        self.arenas = Arenas()
        self._arenas_from = None
        # What tells the batch at hand from all others.
        self._batch = None
        # The large inputs of the batch that cannot change, by what Python knows them by.
        self._given = {}
        # The input of earlier batches that the stage still has tables in, by their sequence.
        self._kept = []
        # Where the next large output goes, and where the batch's room for them ends.
        self._room_at = self._room_end = 0
        # What carries values that JSON has no form for, where the stage's loader has brought it.
        self._objects = None
        # Made when the stage gives the first coroutine.
        self._loop = None
        # What its code declares, known once that is loaded.
        self.declarations = None

    def load(self, start):
        self._context = Context(
            start["stage"], start["worker"], start["node"], start["environment"]
        )
        self._inputs = tuple(start["inputs"])
        self._promised = tuple(start["outputs"])
        self._arenas_from = start["arenas_from"]
        self._stage = self._own = load(start["code"], start["args"])
        if "nemo_curator.stages.base" in sys.modules:
            from curator_nemo import as_stage

            self._stage = as_stage(self._own)
            self._keys = getattr(self._stage, "keys_of", self._keys)
        self._objects = sys.modules.get("curator_objects")
        self._is_batched = callable(getattr(self._stage, "process_batch", None))
        if not self._is_batched and not callable(getattr(self._stage, "process", None)):
            raise TypeError(
                f"{start['code']['name']!r} has neither `process(task)` nor `process_batch(tasks)`"
            )
        self.declarations = Declarations(self._own)

    def hook(self, name):
        hook = getattr(self._stage, name, None)
        if hook is None:
            return
        left = hook(self._context) if takes_argument(hook) else hook()
        if type(left) in (_GENERATOR, _ASYNC_GENERATOR):
            raise TypeError(f"`{name}` has a `yield`, so that nothing of it would run: take it out")
        if type(left) is _COROUTINE:
            self._awaited(left)

    def _awaited(self, coroutine):
        """What becomes of a coroutine."""
        if self._loop is None:
            from curator_loop import Loop

            self._loop = Loop()
        return self._loop.settle(coroutine)

    def _each(self, generator, take):
        """Hands on what a generator of either kind yields, each at once: it may go on to change
        that."""
        if type(generator) is _GENERATOR:
            for item in _yields(generator):
                take(item)
            return

        async def drain():
            async for item in generator:
                take(item)

        self._awaited(drain())

    def setup(self, on_node, overrides):
        if overrides:
            from curator_overrides import lay_over

            lay_over(self._own, overrides)
            self.declarations.look()
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
        batch = self._batch = object()
        tasks = []
        writers = []
        views = []
        unreadable = {}
        at = shared_at = self._room_at = self._room_end = 0
        try:
            shares, records = self._decode(meta, 0)[0]
        except ValueError:
            shares, records = without_limit(self._decode, meta, 0)[0]
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
                shared_at = end + -end % ALIGNMENT
            write = self._encode
            try:
                if kind in "jJ":
                    text = str(part, "utf-8")
                    # In ASCII also the last of its characters is an escape.
                    if "\\" in text and "\\u" in text and text.isascii() and "\x7f" not in text:
                        write = self._encode_escaped
                    data = [text, batch, len(tasks)]
                elif kind in "bB":
                    data = bytes(part)
                    if self._objects is not None and self._objects.is_object(data):
                        # The stage may change it: it is not what came.
                        data, kind = self._objects.unpack(data), "o"
                else:
                    data = streams.open_table(part)
            except BaseException as error:
                data, unreadable[len(tasks)] = None, error
            writers.append(write)
            if kind in "BT" and len(tasks) not in unreadable:
                self._given[id(data)] = len(tasks), data
            # The short form of a record has neither metadata nor another dataset.
            metadata, dataset = (record[3], record[4]) if len(record) > 3 else ({}, "")
            if kind == "o" and isinstance(data, Task):
                data.id, data.metadata, data.dataset_name = record[0], metadata, dataset
                tasks.append(data)
                continue
            make = task_of if kind in "jJ" else Task
            tasks.append(make(data, metadata, dataset, record[0]))
        parts = []
        begin = clock()
        if unreadable:
            answer = self._run_readable(tasks, writers, parts, unreadable)
        elif self._is_batched:
            answer = self._run_batch(tasks, writers, parts)
        elif len(tasks) == 1:
            answer = f"[{self._run_one(tasks[0], writers[0], parts)}]"
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
            self._kept = [held for held in (*self._kept, *views) if not let_go(held[1])]
            if self._kept:
                kept = f",{sorted({number for number, _ in self._kept})}"
        since = None
        if self.declarations.may_have_changed():
            since = self.declarations.since("process_batch" if self._is_batched else "process")
        if self._lacking or since:
            kept = f"{kept or ',[]'},{self._encode(self._lacking)}"
            self._lacking = []
        if since:
            kept += f",{self._encode(since)}"
        self._channel.send(RESULT, sequence, f"[{end - begin},{answer}{kept}]".encode(), parts)
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

    def _raised(self, error):
        """The error, as JSON; but one in a forked child is the child's own."""
        if os.getpid() != self._pid:
            raise error
        return self._encode(describe_error(error))

    # Answers are written as JSON at once: what a stage goes on changing was sent as it returned it.

    def _run_one(self, task, write, parts):
        metadata, dataset = task.metadata, task.dataset_name
        self._write = write
        try:
            if self._inputs:
                streams.check_inputs(task, self._inputs, self._keys, self._context.stage)
            output = self._stage.process(task)
            if type(output) in _ONE:
                return f"[{self._record(output, parts, metadata, dataset)}]"
            if isinstance(output, Task):
                data = self._data_of(output)
                record = self._record(data, parts, output.metadata, output.dataset_name)
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
                    streams.check_inputs(task, self._inputs, self._keys, self._context.stage)
            outputs = self._stage.process_batch(tasks)
            while type(outputs) is _COROUTINE:
                outputs = self._awaited(outputs)
            if type(outputs) in _LAZY:
                return self._run_generator(outputs, parents, writers, parts)
            if isinstance(outputs, Aggregate):
                self._write = writers[0]
                outputs = self._outputs(outputs.outputs, parts, {}, parents[0][1])
                return f'{{"aggregate":{outputs}}}'
            if not isinstance(outputs, (list, tuple)):
                kind = type(outputs).__name__
                raise TypeError(f"process_batch must return a list or an Aggregate, not {kind}")
            _check_count(len(tasks), len(outputs))
            entries = []
            for output, (metadata, dataset), self._write in zip(outputs, parents, writers):
                entries.append(self._entry(output, parts, metadata, dataset))
            return f"[{','.join(entries)}]"
        except BaseException as error:
            parts.clear()
            self._room_at = mark
            return f'{{"failed":{self._raised(error)}}}'

    def _run_generator(self, generator, parents, writers, parts):
        entries, late = [], []

        def add(output):
            (metadata, dataset), self._write = parents[len(entries)], writers[len(entries)]
            entries.append(self._entry(output, parts, metadata, dataset))

        def take(output):
            # What has to be awaited waits until the generator's own loop has ended.
            is_late = late or len(entries) == len(parents) or type(output) in _AWAITED
            (late.append if is_late else add)(output)

        self._each(generator, take)
        _check_count(len(parents), len(entries) + len(late))
        for output in late:
            add(output)
        return f"[{','.join(entries)}]"

    def _entry(self, output, parts, metadata, dataset):
        if output is None:
            return "[]"
        if isinstance(output, list):
            return self._outputs(output, parts, metadata, dataset)
        if type(output) is _COROUTINE:
            return self._entry(self._awaited(output), parts, metadata, dataset)
        if type(output) is _GENERATOR:
            return self._outputs(_yields(output), parts, metadata, dataset)
        if type(output) is _ASYNC_GENERATOR:
            return self._outputs_of(output, parts, metadata, dataset)
        return self._outputs((output,), parts, metadata, dataset)

    def _outputs_of(self, generator, parts, metadata, dataset):
        mark, room_mark = len(parts), self._room_at
        records = []

        def take(output):
            if output is not None:
                records.append(self._outputs((output,), parts, metadata, dataset)[1:-1])

        try:
            self._each(generator, take)
        except BaseException:
            del parts[mark:]
            self._room_at = room_mark
            raise
        return f"[{','.join(records)}]"

    def _outputs(self, outputs, parts, metadata, dataset):
        mark, room_mark = len(parts), self._room_at
        records = []
        try:
            # Each is written before a generator goes on, which may change what it has yielded.
            for output in outputs:
                if output is None:
                    continue
                if isinstance(output, Task):
                    data = self._data_of(output)
                    records.append(self._record(data, parts, output.metadata, output.dataset_name))
                else:
                    records.append(self._record(output, parts, metadata, dataset))
        except BaseException:
            del parts[mark:]
            self._room_at = room_mark
            raise
        return f"[{','.join(records)}]"

    def _data_of(self, task):
        """A task's data; a task of a class of the stage's own travels as a whole."""
        if type(task) is Task:
            return data_of(task)
        return task.data if self._objects is None else task

    def _look_for_promised(self, data):
        """What an output lacks is told once, and no error: a stage behind it may not need it."""
        if type(data) is Unread:
            data = self._value(data[0])
        if self._objects is not None and not streams.has_keys(data):
            return  # What a class of the stage's own has is that class's affair.
        keys = self._keys(data)
        self._lacking = [name for name in self._promised if name not in keys]
        if self._lacking:
            self._promised = ()

    def _record(self, data, parts, metadata, dataset):
        if self._promised:
            self._look_for_promised(data)
        if metadata or dataset:
            metadata = {} if metadata is None else metadata
            metadata, dataset = self._described(metadata, "" if dataset is None else dataset)
            rest = f",{metadata},{dataset}"
        else:
            rest = ""
        if type(data) is dict and self._objects is None:
            kind, part = "j", self._encoded(data, "data")
        elif id(data) in self._given:
            # It is what came, and the engine still has that.
            return f'["=",{self._given[id(data)][0]}{rest}]'
        elif type(data) is Unread:
            text, batch, at = data
            if batch is self._batch:
                return f'["=",{at}{rest}]'
            kind, part = "j", text.encode()
        elif isinstance(data, (bytes, bytearray, memoryview)):
            if isinstance(data, memoryview):
                data = data.cast("B") if data.nbytes and data.c_contiguous else bytes(data)
            kind, part = "b", data
            if self._objects is not None and self._objects.is_object(bytes(part[:16])):
                part = self._objects.pack(bytes(part))
        elif type(data) is not dict and (table := streams.as_table(data)) is not None:
            kind, part = "t", streams.stream(table)
        elif self._objects is not None:
            kind, part = self._value_or_object(data)
        else:
            kind, part = "j", self._encoded(data, "data")
        length = part.size() if kind == "t" else len(part)
        room = self._room(length) if self._room_end else None
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
            self._room_at = end + -end % ALIGNMENT
        else:
            # A copy, unless it cannot change: the stage may reuse its buffer for the next task.
            parts.append(part if kind == "t" else bytes(part))
        return f'["{kind}",{length}{rest}]'

    def _room(self, length):
        """A view of the arena for a large output; None if it is not large, or there is no room."""
        end = self._room_at + length
        if end > self._room_end or length < self._arenas_from:
            return None
        return self.arenas.room(self._room_at, end)

    def _value_or_object(self, data):
        """The data as JSON, or, where that has no form for it, as the user's own processes read
        it."""
        if not isinstance(data, Task):
            try:
                return "j", self._encoded(data, "data")
            except TypeError as error:
                refused = error
            from curator_json import find_answer

            why = find_answer(data)
            if why:
                raise TypeError(f"the stage returned what cannot be sent: {why}")
        try:
            return "b", self._objects.pack(data)
        except Exception as error:
            # JSON's encoder says where in the data it stands.
            raise error from (None if isinstance(data, Task) else refused)

    def _described(self, metadata, dataset):
        if not isinstance(metadata, dict) or not isinstance(dataset, str):
            from curator_json import check_labels

            check_labels(metadata, dataset)
        metadata, dataset = self._encoded(metadata, "metadata"), self._encoded(dataset, "dataset")
        return metadata.decode(), dataset.decode()

    def _encoded(self, value, name):
        """The value as JSON, in UTF-8."""
        try:
            # Rust reads all but the data, and an escape would bring it half of a surrogate pair.
            write = self._write if name == "data" else self._encode
            try:
                text = write(value)
            except ValueError:
                text = without_limit(write, value)
            try:
                encoded = text.encode()
                if write is self._encode_escaped and "\\ud" in text:
                    # An escape does not tell a character from two halves.
                    text = of_any_size(self._encode, value)
                    text.encode()
            except UnicodeEncodeError:
                # Half of a surrogate pair, which an escape alone can carry.
                from curator_json import joins_halves

                if name != "data" or joins_halves(text):
                    raise
                encoded = of_any_size(self._encode_escaped, value).encode()
            if type(value) in PLAIN or has_text_keys(value):
                return encoded
            error = "a key is no text"
        except Exception as caught:  # A value's own code may raise anything.
            error = caught
        from curator_json import find_refused

        why = find_refused(value, name) or f"{name}: {error}"
        way_out = getattr(self._stage, "way_out", None)
        rest = f"; {way_out}" if isinstance(way_out, str) else ""
        raise TypeError(f"the stage returned what cannot be sent: {why}{rest}")
