"""Finds the base's bytecode where it is kept outside of the base.

The bytecode's key is a hash of its whole source, so the bytecode of a file that was edited or
replaced is never used. Only imports by Python's own loader are answered: a loader that changes what
it compiles has bytecode of its own.
"""

import marshal
import os
import sys

__all__ = ["offer"]


def offer(folders, library):
    """Makes imports of modules below these folders look into other folders first.

    The folders come in pairs: a folder, and the one with its bytecode. The bytecode of the standard
    library has a folder of its own.
    """
    if sys.flags.optimize:
        return  # It is kept as it is without `-O`.
    from _imp import _fix_co_filename, source_hash
    from importlib.machinery import SourceFileLoader
    from importlib.util import MAGIC_NUMBER

    header = MAGIC_NUMBER + (0b01).to_bytes(4, "little")
    key = int.from_bytes(MAGIC_NUMBER, "little")
    pairs = [(folder + os.sep, kept + os.sep) for folder, kept in folders]
    pairs.append((os.path.dirname(os.__file__) + os.sep, library + os.sep))
    plain = SourceFileLoader.get_code
    loads = marshal.loads

    def read(path):
        with open(path, "rb", buffering=0) as file:
            return file.read()

    def hash_of(data):
        return source_hash(key, data)

    def kept_code(path):
        for folder, kept in pairs:
            if not path.startswith(folder):
                continue
            try:
                data = read(kept + path[len(folder) :] + "c")
            except OSError:
                continue
            # A file that a crash cut short does not match the hash at its end.
            is_whole = data[:8] == header and data[-8:] == hash_of(memoryview(data)[:-8])
            if is_whole and data[8:16] == hash_of(read(path)):
                code = loads(memoryview(data)[16:])
                _fix_co_filename(code, path)
                return code
        return None

    def get_code(self, fullname):
        path = self.path
        if type(self) is SourceFileLoader and path.endswith(".py"):
            try:
                code = kept_code(path)
            except Exception:
                code = None  # It is compiled then, which tells what is wrong.
            if code is not None:
                return code
        return plain(self, fullname)

    SourceFileLoader.get_code = get_code
