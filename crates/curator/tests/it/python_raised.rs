//! `import curator`: exceptions of stages in the program.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// An exception comes as itself, also where a part of it cannot be sent: a note names that part.
#[test]
fn an_exception_comes_without_what_cannot_be_sent() {
    passes(
        &Folder::new(""),
        r#"
import sys
import threading
from curator import LocalExecutor, Pipeline

class Response(Exception):
    def __init__(self, text, status):
        super().__init__(text)
        self.status, self.session = status, threading.Lock()

class Slotted(Exception):
    __slots__ = ("row", "__mine", "unset")
    def __init__(self, text, row):
        super().__init__(text)
        self.row, self.__mine = row, 7
        self.more = 1
    def mine(self):
        return self.__mine

def chained():
    error = Response("outer", 1)
    error.inner, error.seen = Response("inner", 2), [1, threading.Lock()]
    return error

def many():
    error = ValueError("many")
    for at in range(100):
        setattr(error, f"part{at}", f"{at:02}" * 2000)
    return error

makes = [
    (lambda: Response("refused", 503), ["`session`"]),
    (lambda: ValueError("x" * 70_000), ["the end of args[0]"]),
    (lambda: ValueError(b"x" * 70_000, 5), ["the end of args[0]"]),
    (lambda: LookupError("door", threading.Lock(), 5), ["args[1]"]),
    (lambda: Slotted("slots", (1, 2)), []),
    (chained, ["`session`", "`seen`[1]"]),
    (many, ["the end of `part0`"]),
]

def fails(task):
    raise makes[task.data][0]()

def raised(at):
    try:
        Pipeline([fails]).run([at])
    except Exception as error:
        return error
    raise AssertionError(at)

for at, (make, lost) in enumerate(makes):
    error, made = raised(at), make()
    assert type(error) is type(made), (at, error)
    assert error.__cause__.stage == "fails"
    notes = getattr(error, "__notes__", [])
    for name in lost:
        assert name in notes[0] and "could not send" in notes[0], (at, notes)
    assert len(notes) == bool(lost), (at, notes)

response, long, binary, lookup, slotted, outer, _ = map(raised, range(len(makes)))
assert str(response) == "refused" and response.status == 503 and not hasattr(response, "session")
assert set(str(long)) == {"x"} and 4000 < len(str(long)) < 70_000
assert set(binary.args[0]) == {120} and binary.args[1] == 5
assert lookup.args == ("door", None, 5)
assert (slotted.row, slotted.mine(), slotted.more) == ((1, 2), 7, 1) and not hasattr(slotted, "unset")
assert type(outer.inner) is Response and outer.inner.status == 2 and outer.seen[0] == 1

if sys.version_info >= (3, 11):
    makes[:] = [(lambda: ExceptionGroup("group", [Response("one", 1), ValueError("two")]), [])]
    group = raised(0)
    one, two = group.exceptions
    assert type(one) is Response and one.status == 1 and "`session`" in one.__notes__[0]
    assert two.args == ("two",)
"#,
    );
}
