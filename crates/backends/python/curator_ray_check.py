"""Imports Ray, and tells what that asked for: what is not among it cannot change the import.

On standard output, a line each: the name of a module at the top; `=` and the name of a distribution
whose metadata was read; `*` if that of all was, or if it cannot be told.
"""

import os
import sys

asked = {name.partition(".")[0] for name in sys.modules}


class Recorder:
    """The first of the finders: it hears of every module, and finds none."""

    def find_spec(self, fullname, path=None, target=None):
        asked.add(fullname.partition(".")[0])

    def find_distributions(self, context):
        asked.add("*" if context.name is None else "=" + context.name)
        return iter(())


# Nothing that Ray prints gets between the names.
out = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
recorder = Recorder()
sys.meta_path.insert(0, recorder)

import ray  # noqa: E402, F401

asked.update(name.partition(".")[0] for name in list(sys.modules))
# Another finder at the front answers first; `pkg_resources` reads all metadata by ways of its own.
if sys.meta_path[0] is not recorder or "pkg_resources" in asked:
    asked.add("*")
text = "".join(f"{name}\n" for name in sorted(asked))
while text:
    text = text[os.write(out, text.encode()) :]
