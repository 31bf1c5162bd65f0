"""`curator_table` held against `pyarrow`, in an environment that has both."""

import datetime as dt
import decimal

import numpy
import pyarrow as pa
from curator_table import Table


class Checks:
    """Runs the check that a task names."""

    def process(self, task):
        return getattr(self, task.data)()

    def types_and_values(self):
        for table in (whole(), in_pieces(), whole().slice(0, 0)):
            read = Table.from_stream(stream(table))
            assert read.column_names == table.column_names and len(read) == len(table)
            for name, column in zip(table.column_names, table.columns):
                ours = read[name]
                assert ours.type == str(column.type), (ours.type, column.type)
                assert (len(ours), ours.null_count) == (len(column), column.null_count), name
                if name in PYARROW_ALONE:
                    if len(ours):
                        raises(TypeError, "add pyarrow to the stage's runtime_env", ours.to_pylist)
                    continue
                values = column.to_pylist()
                assert ours.to_pylist() == list(ours) == values, (name, list(ours), values)
                assert [ours[row] for row in range(len(ours))] == values, name
                assert ours.slice(1, 2).to_pylist() == column.slice(1, 2).to_pylist(), name
        return len(table.columns)

    def numbers_in_place(self):
        numbers = pa.array(range(1000), pa.int32())
        table = pa.table({"n": numbers, "half": pa.array(numpy.ones(1000, "e"))})
        ours = Table.from_stream(stream(table))
        view = ours["n"].values
        assert view.format == "i" and view.readonly and view.tolist() == numbers.to_pylist()
        array = numpy.asarray(view)
        assert array.dtype == "i4" and array.sum() == sum(view)
        assert numpy.shares_memory(ours["n"].to_numpy(), array)
        raises(ValueError, "pieces", lambda: Table.from_stream(stream(in_pieces()))["whole"].values)
        raises(ValueError, "nulls", lambda: Table.from_stream(stream(whole()))["int8"].values)
        return int(array[-1])

    def arrays_of_numpy(self):
        count = 0
        for table in (whole(), in_pieces()):
            read = Table.from_stream(stream(table))
            for name, column in zip(table.column_names, table.columns):
                kind = str(column.type)
                if name in PYARROW_ALONE or not kind.startswith(NUMERIC):
                    continue
                ours, theirs = read[name].to_numpy(), column.to_numpy()
                assert ours.dtype == theirs.dtype, (kind, ours.dtype, theirs.dtype)
                numpy.testing.assert_array_equal(ours, theirs, kind)
                count += 1
        return count

    def what_is_written(self):
        for table in (whole(), in_pieces(), whole().slice(0, 0), whole().select([])):
            assert written(Table.from_stream(stream(table))).equals(table, check_metadata=True)
        # The buffers are at multiples of 64 bytes, in exactly as much memory as was said.
        data = to_bytes(Table.from_stream(stream(whole())))
        for chunk in pa.ipc.open_stream(data).read_all()["whole"].chunks:
            for buffer in chunk.buffers():
                assert buffer is None or (buffer.address - pa.py_buffer(data).address) % 64 == 0
        return len(data) % 64

    def slices(self):
        table = in_pieces().drop_columns(["run_ends"])
        read = Table.from_stream(stream(table))
        for first in range(6):
            for count in range(6 - first):
                there, here = written(read.slice(first, count)), table.slice(first, count)
                assert there.schema.equals(here.schema, check_metadata=True)
                for name in table.column_names:
                    assert there[name].equals(here[name]), (name, first, count)
                again = written(read.slice(first, count).slice(1, 1))
                assert again.equals(here.slice(1, 1)), (first, count)
        raises(TypeError, "only pyarrow can cut", lambda: with_runs().slice(1, 2))
        # What is cut off is not written.
        many = pa.table({"text": ["x" * 1000] * 1000, "list": [[1] * 100] * 1000})
        assert len(to_bytes(Table.from_stream(stream(many)).slice(500, 1))) < 5000
        return "cut"

    def pieces_of_different_columns(self):
        read = Table.from_stream(stream(in_pieces()))
        more = read.append_column("more", range(6)).set_column(0, "first", list("abcdef"))
        back = written(more.drop_columns(["run_ends"]))
        assert back["more"].to_pylist() == list(range(6))
        assert back["first"].to_pylist() == list("abcdef")
        assert back["text"].equals(in_pieces()["text"])
        return back.num_columns

    def dictionaries(self):
        kind = pa.dictionary(pa.int8(), pa.string())
        batches = [
            pa.record_batch({"d": pa.DictionaryArray.from_arrays(pa.array(at, pa.int8()), words)})
            for at, words in [
                ([0, None, 1], ["a", "b"]),
                ([2, 0], ["a", "b", "c"]),  # One more word,
                ([0, 1], ["x", "y"]),  # others,
                ([2, 2], ["x", "y", None]),  # and again one more, which is null.
            ]
        ]
        table = pa.Table.from_batches(batches)
        words = ["a", None, "b", "c", "a", "x", "y", None, None]
        assert table["d"].type == kind and table["d"].to_pylist() == words
        for deltas in (False, True):
            read = Table.from_stream(stream(table, emit_dictionary_deltas=deltas))
            assert read["d"].to_pylist() == words
            assert [read["d"][row] for row in range(len(words))] == words
            there = written(read)
            assert there["d"].type == kind and there["d"].to_pylist() == words
            assert written(read.slice(2, 5))["d"].to_pylist() == words[2:7]
            two = Table.from_pydict({"one": read["d"], "two": read["d"]})
            assert written(two)["two"].to_pylist() == words
        return len(words)

    def what_python_makes(self):
        columns = {
            "int": [1, None, 3],
            "large": [2**63, 0, None],
            "float": [1.5, 2, None],
            "bool": [True, None, False],
            "text": ["a", "ü", None],
            "bytes": [b"a", b"", None],
            "date": [dt.date(2020, 1, 1), None, dt.date(1, 1, 1)],
            "time": [dt.datetime(2020, 1, 1, 2, 3, 4, 5), None, dt.datetime(1, 1, 1)],
            "there": [dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc), None, None],
            "list": [[1, 2], None, []],
            "lists": [[["a"]], None, [[], None]],
            "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": None}],
            "null": [None, None, None],
        }
        theirs = pa.table({**columns, "large": pa.array(columns["large"], pa.uint64())})
        assert written(Table.from_pydict(columns)).equals(theirs)
        rows = theirs.to_pylist()
        assert Table.from_pylist(rows) == Table.from_stream(stream(theirs))
        arrays = {code: numpy.arange(5).astype(code) for code in "bBhHiIqQefd"}
        assert written(Table.from_pydict(arrays)).equals(pa.table(arrays))
        rows = {"rows": [numpy.arange(2), None], "n": [numpy.int64(1), 2]}
        assert written(Table.from_pydict(rows)).equals(
            pa.table({"rows": [[0, 1], None], "n": [1, 2]})
        )
        return len(columns)

    def arrays_hold_their_memory(self):
        data = stream(pa.table({"n": range(10_000), "t": pa.array(range(10_000), "timestamp[s]")}))
        for use in (
            lambda column: column,
            lambda column: column.to_numpy(),
            lambda column: column.to_numpy()[5:],
            lambda column: numpy.asarray(column.values),
            lambda column: column.slice(5, 9).values,
        ):
            for name in ("n", "t"):
                memory = memoryview(bytearray(data))
                held = use(Table.from_stream(memory)[name])
                raises(BufferError, "export", memory.release)
                del held
                memory.release()
        return "held"

    def numbers_and_values_of_others(self):
        many = Table.from_pydict({"n": [*range(249), None], "s": list(map(str, range(250)))})
        for at in (numpy.uint8(200), numpy.int64(200)):
            assert (many["n"][at], many["s"][at]) == (200, "200")
            assert many.slice(at, 3) == many.slice(200, numpy.uint8(3)) == many[200:203]
        masked = numpy.ma.masked_array([1, 2, 3], mask=[False, True, False])
        halves = numpy.arange(6).astype("e")[::2]
        made = Table.from_pydict({"masked": masked, "halves": halves})
        assert made["masked"].to_pylist() == [1, None, 3]
        assert written(made)["halves"].equals(pa.chunked_array([pa.array(halves)]))
        lists = pa.table({"h": pa.array([[1.0, 2.0], [3.0]], pa.list_(pa.float16()))})
        assert Table.from_stream(stream(lists))["h"].to_pylist() == [[1.0, 2.0], [3.0]]
        # What is changed in one row is in no other.
        structs = pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array([{"x": 1}]))
        read = Table.from_stream(stream(pa.table({"d": structs})))
        read["d"].to_pylist()[0]["x"] = 99
        first, second = read["d"].to_pylist()
        first["x"] = 99
        assert second == {"x": 1} and read["d"][0] == {"x": 1}
        nothing = pa.table({"t": pa.array([None], pa.timestamp("s", "Nowhere/Land"))})
        assert Table.from_stream(stream(nothing))["t"].to_pylist() == [None]
        twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
        twice = Table.from_stream(stream(pa.table({"s": twice})))
        raises(ValueError, "column 's', struct<a: int64, a: int64>: two", twice["s"].to_pylist)
        aware = dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)
        for values, problem in [
            ([None, 1, 2**64], "column 'x', row 2: "),
            ([None, dt.datetime(2020, 1, 1), aware], "column 'x', row 2: a time with a zone"),
            (
                numpy.array([1, 2], numpy.longdouble),
                "column 'x', row 0: numpy.longdouble, of which",
            ),
            (numpy.array([0], "M8[ns]"), "astype('M8[us]').tolist()"),
            ([numpy.array([0], "M8[ns]")], "row 0, item 0: numpy.datetime64, of which"),
        ]:
            raises(
                (TypeError, ValueError), problem, lambda made=values: Table.from_pydict({"x": made})
            )
        raises(ValueError, "no UTF-8", lambda: Table.from_pydict({"\ud800": [1]}))
        raises(ValueError, "no UTF-8", lambda: Table.from_pydict({"x": [{"\ud800": 1}]}))
        raises(
            IndexError, "no place 9 for another column", lambda: made.add_column(9, "x", [1] * 3)
        )
        return len(made)

    def what_is_not_read(self):
        moments = pa.array([1_000, None, 1_001], pa.timestamp("ns"))
        read = Table.from_stream(stream(pa.table({"t": moments, "n": [1, 2, 3]})))
        assert read["t"][0] == dt.datetime(1970, 1, 1, 0, 0, 0, 1)
        raises(ValueError, "column 't', timestamp[ns]: 1001 ns", read["t"].to_pylist)
        assert read.slice(2, 1)["t"].values.tolist() == [1_001]
        zone = pa.table({"t": pa.array([0], pa.timestamp("s", "Nowhere/Land"))})
        zone = Table.from_stream(stream(zone))
        raises(ValueError, "tzdata", zone["t"].to_pylist)
        packed = stream(pa.table({"n": [1]}), compression="lz4")
        raises(TypeError, "add pyarrow", lambda: Table.from_stream(packed))
        raises(ValueError, "no Arrow stream", lambda: Table.from_stream(packed[:40]))
        old = stream(pa.table({"n": [1]}), metadata_version=pa.ipc.MetadataVersion.V4)
        raises(TypeError, "version 4, which only pyarrow reads", lambda: Table.from_stream(old))
        nulls = stream(pa.table({"n": pa.nulls(5_000_000)}))
        raises(ValueError, "5000000 rows in 2", lambda: Table.from_stream(nulls))
        self.bombs()
        raises(TypeError, "add pyarrow", lambda: with_runs()["run_ends"][0])
        return "said"

    def bombs(self):
        """What a stream may become is limited over the table, not column by column."""

        def refused(table, problem):
            data = stream(table)
            raises(ValueError, problem, lambda: Table.from_stream(data))

        deep = pa.nulls(900_000)
        for _ in range(20):
            deep = pa.StructArray.from_arrays([deep], ["x"])
        refused(pa.table({"deep": deep}), "are believed here: add pyarrow")
        many = {f"n{at}": pa.nulls(100_000) for at in range(20)}
        refused(pa.table(many), "with 'n1")
        # What is backed by as many bytes is no bomb.
        fine = pa.table({"n": pa.array(range(1_000_000)), "null": pa.nulls(1_000_000)})
        assert Table.from_stream(stream(fine)).num_rows == 1_000_000
        lists = pa.DictionaryArray.from_arrays(
            pa.array([0] * 20_000, pa.int32()), pa.array([[0] * 1000])
        )
        lists = Table.from_stream(stream(pa.table({"lists": lists})))
        raises(ValueError, "values of a dictionary, of which at most", lists.to_pylist)


def raises(kind, problem, call):
    try:
        call()
    except kind as error:
        assert problem in str(error), error
    else:
        raise AssertionError(f"no {kind}")


def stream(table, **options):
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def to_bytes(table):
    made = table.to_stream()
    memory = bytearray(b"\xaa" * made.size())
    made.write_into(memoryview(memory))
    return bytes(memory)


def written(table):
    back = pa.ipc.open_stream(to_bytes(table)).read_all()
    back.validate(full=True)
    return back


def whole():
    """Five rows of every type, most with a null in the second."""
    fields = [
        pa.field(name, column.type, metadata={"of": name}) for name, column in columns().items()
    ]
    fields[1] = fields[1].with_nullable(False)
    schema = pa.schema(fields, metadata={"made": "by pyarrow", "bytes": b"\xff"})
    return pa.table(list(columns().values()), schema=schema)


def in_pieces():
    """Six rows in three batches, one of them empty."""
    table = whole()
    return pa.concat_tables([table.slice(0, 2), table.slice(2, 0), table.slice(1, 4)])


def with_runs():
    return Table.from_stream(stream(whole())).select(["run_ends"])


PYARROW_ALONE = (
    *("text_view", "bytes_view", "month_day_nano", "list_view", "large_list_view", "run_ends"),
    *("dense", "sparse", "list_of_views"),
)
NUMERIC = ("int", "uint", "float", "double", "half", "duration", "timestamp")


def columns():
    numbers = [1, None, 3, 4, 5]
    texts = ["a", None, "üñ", "", "longer than what a view has in it"]
    data = [b"a", None, b"\xff", b"", b"longer than what a view has in it"]
    days = [dt.date(2020, 1, 1), None, dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1969, 1, 1)]
    hours = [dt.time(1, 2, 3), None, dt.time(0), dt.time(23, 59, 59), dt.time(5)]
    moments = [
        dt.datetime(2020, 1, 2, 3, 4, 5),
        None,
        dt.datetime(1970, 1, 1),
        dt.datetime(1969, 12, 31, 23, 59, 59),
        dt.datetime(2100, 7, 1),
    ]
    spans = [dt.timedelta(1, 2), None, dt.timedelta(0), -dt.timedelta(5), dt.timedelta(7)]
    money = [decimal.Decimal("1.23"), None, *map(decimal.Decimal, ("-4.56", "0", "99.99"))]
    lists, pairs = [[1, 2], None, [], [None], [3]], [[1, 2], None, [3, 4], [None, 5], [6, 7]]
    words = pa.array(["p", "q", "p", "r", "p"]).dictionary_encode()
    rows = pa.array([{"x": 1, "y": "q"}, {"x": 2, "y": None}])
    whole = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
    whole += [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()]
    clocks = [pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]
    units, zones = ("s", "ms", "us", "ns"), (None, "UTC", "Europe/Berlin", "+02:30", "-01:00")
    exact = [pa.decimal32(5, 2), pa.decimal64(5, 2), pa.decimal128(38, 4), pa.decimal256(70, 10)]

    def typed(values, types):
        return {str(kind): pa.array(values, kind) for kind in types}

    return {
        "null": pa.nulls(5),
        "whole": pa.array([1, 2, 3, 4, 2**62]),
        "bool": pa.array([True, None, False, True, True]),
        **typed(numbers, whole),
        "half": pa.array(numpy.array([1, 2, 3.5, 4, 5], "e")),
        "text": pa.array(texts),
        "text_view": pa.array(texts, pa.string_view()),
        **typed(texts, [pa.large_string()]),
        **typed(data, [pa.binary(), pa.large_binary()]),
        "bytes_view": pa.array(data, pa.binary_view()),
        "three_bytes": pa.array([b"abc", None, b"cde", b"efg", b"gh\0"], pa.binary(3)),
        **typed(days, [pa.date32(), pa.date64()]),
        **typed(hours, clocks),
        **typed(moments, [pa.timestamp(unit, zone) for unit in units for zone in zones]),
        **typed(spans, [pa.duration(unit) for unit in units]),
        **typed(money, exact),
        "hundreds": pa.array(
            [decimal.Decimal(1200), None, *[decimal.Decimal(-400)] * 3], pa.decimal128(5, -2)
        ),
        "month_day_nano": pa.array(
            [(1, 2, 3), None, *[(4, 5, 6)] * 3], pa.month_day_nano_interval()
        ),
        "list": pa.array(lists),
        "large_list": pa.array([["a", "b"], None, [], [None], ["c"]], pa.large_list(pa.string())),
        "lists": pa.array([[[1], [2, 3]], None, [], [None], [[], [4]]]),
        "not_null": pa.array([[1], None, [], [7], [3]], pa.list_(pa.field("x", pa.int64(), False))),
        "pairs": pa.array(pairs, pa.list_(pa.int64(), 2)),
        "nothings": pa.array([[], None, [], [], []], pa.list_(pa.int64(), 0)),
        "list_view": pa.array(lists, pa.list_view(pa.int64())),
        "large_list_view": pa.array(lists, pa.large_list_view(pa.int64())),
        "list_of_views": pa.array([[text] for text in texts], pa.list_(pa.string_view())),
        "struct": pa.array([{"a": 1, "t": moments[0]}, None, {"a": None}, {"a": 3}, {"t": None}]),
        "empty_struct": pa.array([{}, None, {}, {}, {}], pa.struct([])),
        "map": pa.array(
            [[("a", 1)], None, [], [("b", None), ("c", 3)], [("d", 4)]],
            pa.map_(pa.string(), pa.int64()),
        ),
        "sorted_map": pa.array(
            [[("a", 1)], None, [], [("b", 2)], []],
            pa.map_(pa.string(), pa.field("value", pa.int64(), False), keys_sorted=True),
        ),
        "words": pa.array(["a", None, "b", "a", "c"]).dictionary_encode(),
        "ranks": pa.DictionaryArray.from_arrays(
            pa.array([0, 1, None, 2, 0], pa.uint8()), pa.array([10, None, 30]), ordered=True
        ),
        "rows": pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0, 0], pa.int16()), rows),
        "list_of_words": pa.ListArray.from_arrays(pa.array([0, 2, 2, 3, 4, 5]), words),
        "struct_of_words": pa.StructArray.from_arrays([words, words.take([4, 3, 2, 1, 0])], "uv"),
        "words_of_words": pa.DictionaryArray.from_arrays(
            pa.array([0, 1, None, 0, 0]), pa.StructArray.from_arrays([words], ["u"])
        ),
        "run_ends": pa.RunEndEncodedArray.from_arrays(pa.array([2, 5], pa.int32()), [7, 8]),
        "dense": pa.UnionArray.from_dense(
            pa.array([0, 1, 0, 0, 1], pa.int8()),
            pa.array([0, 0, 1, 2, 1], pa.int32()),
            [pa.array([1, 2, 3]), pa.array(["a", "b"])],
            ["x", "y"],
            [0, 1],
        ),
        "sparse": pa.UnionArray.from_sparse(
            pa.array([5, 7, 5, 5, 7], pa.int8()),
            [pa.array([1, 2, 3, 4, 5]), pa.array(list("abcde"))],
            ["x", "y"],
            [5, 7],
        ),
    }
