//! `import curator`: what comes back from a worker leaves the program's own code as it is.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// Classes and functions of the program see its globals as they are now, and not what a worker has
/// made of them; those that a worker has made come as they are.
#[test]
fn a_run_leaves_the_classes_of_the_program_alone() {
    passes(
        &Folder::new(""),
        r#"
import enum
from curator import Pipeline

made = []

class Base:
    def __init_subclass__(cls):
        made.append(cls)

class Rec(Base):
    total = 0
    def __init__(self, value):
        self.value = value
    def label(self):
        return helper(self)

class Colour(enum.Enum):
    RED = 1
    def label(self):
        return helper(self)

class TooLong(Exception):
    limit = 1

def helper(record):
    return "v1"

def work(task):
    Rec.total += 1
    TooLong.limit = 7
    Colour.shade = "dark"
    helper.seen = True
    if task.data[0].value == "bad":
        raise TooLong("bad")
    class Mine(Rec):
        here = True
    return [[*task.data, Mine(5)]]

given = [Rec({1}), {Colour.RED}, helper, lambda: helper(None)]
pipeline = Pipeline([work, lambda task: [task.data]])
data = pipeline.run([given]).data[0]
before = list(made)
assert before[:1] == [Rec], made
try:
    pipeline.run([[Rec("bad")]])
except TooLong as error:
    assert type(error) is TooLong and error.limit == 1
else:
    raise AssertionError

def helper(record):
    return "v2"

record, colours, function, free, other = data
assert type(record) is Rec and record.label() == "v2" and Rec({1}).label() == "v2"
assert Rec.total == 0 and TooLong.limit == 1, (Rec.total, TooLong.limit)
assert colours == {Colour.RED} and Colour.RED.label() == "v2" and not hasattr(Colour, "shade")
assert function is given[2] and not hasattr(function, "seen")
# What comes from a worker for the first time is as it came.
assert isinstance(other, Rec) and other.here and other.label() == "v2", other
again = pipeline.run([given]).data[0][-1]
assert again.here and made.count(Rec) == 1, made
"#,
    );
}
