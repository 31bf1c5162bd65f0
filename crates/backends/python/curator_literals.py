"""What a class declares literally, read from the text of its file without running any of it.

The asker (`curator_classes.py`) imports this. A text is trusted only as far as it plainly tells
what the class will be; where it does not, `Literals.is_certain` is false, and the class has to be
constructed.
"""

import ast

from curator_declared import SETTINGS, form

__all__ = ["Literals"]

# What may give a class attributes that do not stand in it.
_DYNAMIC = frozenset(
    [
        "__annotations__",
        "__class__",
        "__dict__",
        "__getattr__",
        "__getattribute__",
        "__init_subclass__",
        "__new__",
        "__set_name__",
        "__setattr__",
        "delattr",
        "eval",
        "exec",
        "globals",
        "locals",
        "setattr",
        "type",
        "vars",
    ]
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Literals:
    """What the class or function of that name declares in a text.

    `values` are the settings with a literal, in the form that a worker tells them; `others` are
    those that are declared in another way.
    """

    def __init__(self, text, name):
        self.values, self.others = {}, set()
        self.is_certain = False
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        self._definitions = _definitions(tree.body)
        chain = self._chain(name)
        if chain is None:
            return
        self.is_certain = all(map(self._is_plain, chain))
        # The first one wins, as in Python.
        for node in chain:
            self._read(node)
        self._look_around(tree, chain)

    def _chain(self, name):
        """The definition of that name and those that it inherits from, as far as they are here."""
        found = None
        definitions = self._definitions
        for part in name.split("."):
            found = definitions.get(part)
            if found is None:
                return None
            definitions = _definitions(getattr(found, "body", ()))
        chain = [found]
        while isinstance(chain[-1], ast.ClassDef) and chain[-1].bases:
            base = chain[-1].bases[0]
            above = self._definitions.get(base.id) if isinstance(base, ast.Name) else None
            if not isinstance(above, ast.ClassDef) or above in chain:
                break
            chain.append(above)
        return chain

    def _is_plain(self, node):
        if node.decorator_list:
            return False
        if isinstance(node, _FUNCTIONS):
            return True
        if node.keywords or len(node.bases) > 1:
            return False
        if node.bases:
            base = node.bases[0]
            if not isinstance(base, ast.Name):
                return False
            above = self._definitions.get(base.id)
            if base.id != "object" and not isinstance(above, ast.ClassDef):
                return False
            if above is not None and above.lineno > node.lineno:
                return False
        return True

    def _read(self, node):
        if not isinstance(node, ast.ClassDef):
            return
        values, others = {}, set()
        for statement in node.body:
            if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
                if statement.name == "preload" and not statement.decorator_list:
                    values[statement.name] = None  # A method of the stage's own.
                    others.discard(statement.name)
                elif statement.name in SETTINGS:
                    values.pop(statement.name, None)
                    others.add(statement.name)
                continue
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                bound = {(it.asname or it.name).split(".")[0] for it in statement.names}
                for setting in bound.intersection(SETTINGS):
                    values.pop(setting, None)
                    others.add(setting)
                continue
            if isinstance(statement, ast.Pass) or _is_text(statement):
                continue
            target, value = _assignment(statement)
            if target is None:
                self.is_certain = False
                others.update(_names_in(statement))
            elif value is not None and target in SETTINGS:
                values.pop(target, None)
                others.discard(target)
                try:
                    values[target] = form(target, ast.literal_eval(value))
                except Exception:
                    others.add(target)
        for setting in SETTINGS:
            if setting in self.values or setting in self.others:
                continue
            if setting in others:
                self.others.add(setting)
            elif setting in values:
                self.values[setting] = values[setting]

    def _look_around(self, tree, chain):
        """Whether anything else in the text could give the class another value."""
        is_mutable = {name for name, found in self.values.items() if _is_mutable(found)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                self.is_certain &= node.id not in _DYNAMIC
            elif isinstance(node, ast.Attribute):
                is_read = isinstance(node.ctx, ast.Load)
                if node.attr in _DYNAMIC or node.attr in (is_mutable if is_read else SETTINGS):
                    self.is_certain = False
            elif isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
                self.is_certain &= node.name not in _DYNAMIC
            elif isinstance(node, ast.ImportFrom):
                self.is_certain &= all(it.name != "*" for it in node.names)
            elif isinstance(node, ast.NamedExpr):
                # Within a class's body it is one more attribute, wherever it stands.
                self.is_certain &= node.target.id not in SETTINGS
            elif isinstance(node, ast.Call):
                # What is handed a class may change it.
                given = (*node.args, *(it.value for it in node.keywords))
                names = {it.id for it in given if isinstance(it, ast.Name)}
                self.is_certain &= names.isdisjoint(it.name for it in chain)
            elif isinstance(node, ast.Global):
                self.is_certain &= not {it.name for it in chain}.intersection(node.names)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                self.is_certain &= node.value not in SETTINGS
        names = {node.name for node in chain}
        for around in (tree, *chain):
            for node in ast.walk(around):
                is_set = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
                if not is_set or node.attr not in SETTINGS:
                    continue
                owner = node.value.id if isinstance(node.value, ast.Name) else None
                if around is not tree or owner in names:
                    self.values.pop(node.attr, None)
                    self.others.add(node.attr)
        self.is_certain &= not self.others
        self.values = {name: found for name, found in self.values.items() if found is not None}


def _definitions(body):
    """The classes and functions of a body that are defined in it once, and not assigned to."""
    found, twice = {}, set()
    for statement in body:
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            names = [statement.name]
        else:
            names = [
                node.id
                for node in ast.walk(statement)
                if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)
            ]
            if isinstance(statement, (ast.Import, ast.ImportFrom)):
                names = [(it.asname or it.name).split(".")[0] for it in statement.names]
            elif not isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)):
                inner = ast.walk(statement)
                kinds = (*_FUNCTIONS, ast.ClassDef)
                names += [node.name for node in inner if isinstance(node, kinds)]
            statement = None
        for name in names:
            if name in found:
                twice.add(name)
            found[name] = statement
    return {name: node for name, node in found.items() if node is not None and name not in twice}


def _assignment(statement):
    """The name that a statement assigns to, with the value; None for any other statement."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.target.id, statement.value
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name) and target.id != "__slots__":
            return target.id, statement.value
    return None, None


def _is_text(statement):
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _names_in(statement):
    names = (node.id for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {name for name in names if name in SETTINGS}


def _is_mutable(found):
    return found is not None and isinstance(found.get("value"), (dict, list))
