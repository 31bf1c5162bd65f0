"""What per-stage environments promise, a section at a time, in Python.

promises.py [--base BASE] [ENGINE ...]

With no engine it runs on this machine; a base is a virtualenv's interpreter, and this program's own
unless it is named. The base has `packaging` and `loguru`.
"""

import argparse
import importlib.util
import os
import sys

from curator import (
    CompositeStage,
    LocalExecutor,
    NoEnvironmentError,
    Pipeline,
    RayActorPoolExecutor,
    RayDataExecutor,
    Resources,
    Stage,
    XennaExecutor,
    stage,
)

ENGINES = {
    "local": LocalExecutor(),
    "ray-data": RayDataExecutor(num_cpus=8),
    "ray-actor-pool": RayActorPoolExecutor(num_cpus=8),
    "xenna": XennaExecutor(num_cpus=8),
}


class Version(Stage):
    """Tells which version of a package its workers have."""

    resources = Resources(cpus=0.5)

    def __init__(self, name):
        self.name = name

    def setup(self):
        import packaging

        self.in_setup = packaging.__version__

    def process(self, task):
        import importlib.metadata
        import sys

        import loguru
        import packaging

        seen = {
            "imported": packaging.__version__,
            "in setup": self.in_setup,
            "installed": importlib.metadata.version("packaging"),
            "loguru": loguru.__version__,
            "prefix": sys.prefix,
        }
        return {"seen": [*task.data["seen"], seen]}


class Pinned(Version):
    """Declares on the class."""

    runtime_env = {"pip": ["packaging==23.2"]}  # noqa: RUF012


@stage(runtime_env={"uv": ["packaging==24.0"]})
class ByUv(Version):
    """Declares on the class, for uv."""


class Both(CompositeStage):
    """Two stages that a caller configures as one."""

    def decompose(self):
        return [Version("first"), Pinned("second")]


def run(stages, engine, base):
    """One task through stages: what each saw, by its name, and the report."""
    pipeline = Pipeline(stages, base=base)
    report = pipeline.run([{"seen": []}], ENGINES[engine])
    [task] = report
    found = dict(zip([stage["name"] for stage in report.stages], task.data["seen"]))
    for name, seen in found.items():
        of_one = {seen["imported"], seen["in setup"], seen["installed"]}
        assert len(of_one) == 1, f"{name} on {engine}: {seen}"
    return {name: seen["imported"] for name, seen in found.items()}, found, report


def class_variable(engine, base):
    """A `runtime_env` on the class, by either tool, is that of each of its workers."""
    versions, _, report = run([Pinned("by pip"), ByUv("by uv")], engine, base)
    assert versions == {"by pip": "23.2", "by uv": "24.0"}, versions
    added = {name: report.environment_of(name)["added"] for name in versions}
    assert added == {"by pip": ["packaging==23.2"], "by uv": ["packaging==24.0"]}, added


def three_versions(engine, base):
    """The example: the base's, one by pip from the class, one by uv from `with_`."""
    newer = Version("newer").with_(runtime_env={"uv": ["packaging==24.0"]})
    versions, seen, report = run([Version("base"), Pinned("older"), newer], engine, base)
    assert versions["older"] == "23.2" and versions["newer"] == "24.0", versions
    assert len(set(versions.values())) == 3, versions
    # Isolated: three places.
    assert len({stage["prefix"] for stage in seen.values()}) == 3, seen
    assert report.environment_of("base")["state"] == "base", report


def additive(engine, base):
    """What only the base has is imported everywhere, in the base's version."""
    _, seen, _ = run([Version("base"), Pinned("older")], engine, base)
    assert seen["base"]["loguru"] == seen["older"]["loguru"], seen


def no_runtime_env(engine, base):
    """Without one, or with an empty one, a stage is in the base itself, and nothing is built."""
    stages = [Version("none"), Version("empty").with_(runtime_env={})]
    _, seen, report = run(stages, engine, base)
    assert {report.environment_of(name)["state"] for name in seen} == {"base"}, report
    assert len({stage["prefix"] for stage in seen.values()}) == 1, seen


def container(engine, base):
    """An image's base needs neither pip nor uv nor virtualenv, and no run changes it."""
    if engine != "local":
        return  # There the engine's own process runs in the base, and Ray's way asks for tools.
    bare = {"uv": ["packaging==26.0", "loguru"]}
    prefix, before = sys.prefix, listed(sys.prefix)
    if base is None:
        run([Pinned("by pip")], engine, base)
    report = Pipeline([tools], base=bare).run([None])
    assert report.data == [{"tools": []}], report.data
    run([Pinned("by pip"), ByUv("by uv"), Version("base")], engine, bare)
    assert listed(prefix) == before


def tools(task):
    """The tools in the environment of a stage."""
    names = ("pip", "uv", "virtualenv")
    return {"tools": [name for name in names if importlib.util.find_spec(name)]}


def listed(folder):
    """The files below a folder, with their sizes and times."""
    paths = (os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)
    found = ((path, os.lstat(path)) for path in paths)
    return sorted((path, stat.st_size, stat.st_mtime_ns) for path, stat in found)


def overrides(engine, base):
    """`with_` replaces what the class declares, `{}` clears it; the original stays as it is."""
    plain = run([Version("plain")], engine, base)[0]["plain"]
    original = Pinned("as declared")
    stages = [
        original.with_(name="replaced", runtime_env={"uv": ["packaging==24.0"]}),
        original.with_(name="cleared", runtime_env={}),
        original,
    ]
    versions, _, _ = run(stages, engine, base)
    assert versions == {"replaced": "24.0", "cleared": plain, "as declared": "23.2"}, versions
    composite = Both().with_({"first": {"runtime_env": {"uv": ["packaging==24.0"]}}})
    versions, _, _ = run([composite], engine, base)
    assert versions == {"first": "24.0", "second": "23.2"}, versions


def caching(engine, base):
    """Equal lists are one environment, however they are spelt, also for a later run."""
    spellings = [["packaging==23.2", "six==1.16.0"], ["six == 1.16", "Packaging==23.2.0"]]
    stages = [
        Version(name).with_(runtime_env={"uv": packages}) for name, packages in zip("ab", spellings)
    ]
    _, seen, report = run(stages, engine, base)
    assert seen["a"]["prefix"] == seen["b"]["prefix"], seen
    keys = {report.environment_of(name)["key"] for name in "ab"}
    _, again, report = run(stages, engine, base)
    assert again["a"]["prefix"] == seen["a"]["prefix"], again
    assert {report.environment_of(name)["key"] for name in "ab"} == keys
    assert {report.environment_of(name)["state"] for name in "ab"} == {"hit"}, report


def refusals(engine, base):
    """A mistake is told with the stage's name, before any task runs."""
    wrong = Version("wrong").with_(runtime_env={"uv": ["packaging==0.0.1"]})
    try:
        run([wrong], engine, base)
    except NoEnvironmentError as error:
        assert "wrong" in f"{error} {error.stage}" and "packaging" in str(error), error
    else:
        raise AssertionError("it ran")


SECTIONS = (
    class_variable,
    overrides,
    three_versions,
    additive,
    caching,
    no_runtime_env,
    container,
    refusals,
)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--base")
    arguments.add_argument("engines", nargs="*", default=["local"])
    given = arguments.parse_args()
    for engine in given.engines:
        for section in SECTIONS:
            section(engine, given.base)
            print(engine, section.__name__)


if __name__ == "__main__":
    main()
