"""Three ways to know what a class declares: its text, its instance, and a worker's own words.

Run with the folder of the workers' files; writes the classes that it made up, with what each
declares, as JSON.
"""

import json
import random
import sys
import types

sys.path.insert(0, sys.argv[1])
from curator_code import construct, declared, declared_by
from curator_literals import Literals

VALUES = {
    "name": ["'cleaner'", "None", "3"],
    "runtime_env": ["{'env_vars': {'A': '1'}}", "{}", "None", "{'uv': ['six']}"],
    "batch_size": ["8", "None", "True", "2 ** 3"],
    "resources": ["{'cpus': 2}", "{'cpus': 1.5, 'nvdecs': 0}", "None"],
    "num_workers": ["4", "None"],
    "inputs": ["['a']", "[]", "('a', 'b')", "(['data'], ['b', 'c'])", "'a'"],
    "outputs": ["['a']", "{'a', 'b'}"],
    "ray_stage_spec": ["{}", "{'is_actor_stage': True}"],
    "task_timeout_seconds": ["1.5", "2"],
    "isolation": ["'full'", "'shared'", "None"],
    "max_attempts": ["3", "None"],
    "preload": ["['json']", "('json', 'csv')", "False", "[]", "{'own': 1}", "{'json'}", "None"],
}
LINES = [
    "    {setting} = {value}\n",
    "    {setting}: object = {value}\n",
    "    {setting}: object\n",
    "    {setting} = (lambda: {value})()\n",
    "    def {setting}(self): return {value}\n",
    "    @property\n    def {setting}(self): return {value}\n",
    "    if True:\n        {setting} = {value}\n",
    "    {setting} = other = {value}\n",
    "    {setting}, other = {value}, 1\n",
    "    def __init__(self): self.{setting} = {value}\n",
    "    def __init__(self): setattr(self, '{setting}', {value})\n",
    "    def __init__(self): self.__dict__['{setting}'] = {value}\n",
    "    for {setting} in [{value}]: pass\n",
    "    other = ({setting} := {value})\n",
    "    def other(self, it=({setting} := {value})): pass\n",
    "    from string import digits as {setting}\n",
    "    {setting} = lambda: {value}\n",
    "    {setting} = lambda self: {value}\n",
    "    def {setting}(self, other): return {value}\n",
    "    def __getattribute__(self, name):\n        if name == '{setting}': return {value}\n"
    "        return object.__getattribute__(self, name)\n",
]
AFTER = [
    "Stage.{setting} = {value}\n",
    "setattr(Stage, '{setting}', {value})\n",
    "Stage.{setting} = Stage.__dict__.get('{setting}')\n",
    "if isinstance(Stage.__dict__.get('{setting}'), dict): Stage.{setting}['B'] = {{}}\n",
    "Stage = type('Stage', (Stage,), {{'{setting}': {value}}})\n",
    "class Stage(Stage):\n    {setting} = {value}\n",
    "list(map(lambda it: type.__setattr__(it, '{setting}', {value}), [Stage]))\n",
    "def again():\n    global Stage\n"
    "    class Stage(Stage):\n        {setting} = {value}\nagain()\n",
]
PROCESS = "    def process(self, task): return task\n"


def pick(random, lines, count):
    text = ""
    for _ in range(count):
        setting = random.choice(list(VALUES))
        value = random.choice(VALUES[setting])
        # Most classes are plain.
        line = lines[0] if random.random() < 0.6 else random.choice(lines)
        text += line.format(setting=setting, value=value)
    return text


def source(random):
    has_base = random.random() < 0.5
    text = ""
    if has_base:
        text += "class Base:\n" + pick(random, LINES, random.randrange(3)) + "    x = 1\n"
    head = "class Stage(Base):\n" if has_base else "class Stage:\n"
    if random.random() < 0.1:
        text += "import dataclasses\n@dataclasses.dataclass\n"
    text += head + pick(random, LINES, random.randrange(4)) + PROCESS
    if random.random() < 0.2:
        text += pick(random, AFTER, 1)
    return text


def main(count):
    chance = random.Random(7)
    made, certain = [], 0
    while len(made) < count:
        text = source(chance)
        module = types.ModuleType("made")
        sys.modules["made"] = module
        try:
            exec(compile(text, "made.py", "exec"), module.__dict__)
            stage = construct(module, "Stage", None)
        except Exception:
            continue
        found = declared_by(stage)["settings"]
        said = declared(stage).get("settings", {})
        known = {name: value for name, value in found.items() if name != "name"}
        assert known == {n: v for n, v in said.items() if n != "name"}, (text, found, said)
        literals = Literals(text, "Stage")
        if literals.is_certain:
            certain += 1
            assert literals.values == found, (text, literals.values, found)
        made.append([text, found])
    assert certain * 4 > count, certain
    json.dump(made[: int(sys.argv[3])], sys.stdout)


main(int(sys.argv[2]))
