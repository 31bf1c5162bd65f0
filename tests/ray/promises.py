"""What per-stage environments promise, a section at a time, in Python.

promises.py [--base BASE] [ENGINE ...]

With no engine it runs on this machine; a base is a virtualenv's interpreter, and this program's own
unless it is named. The base has `packaging` and `loguru`.
"""

import argparse

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


def three_versions(engine, base):
    """The example: the base's, one by pip from the class, one by uv from `with_`."""
    newer = Version("newer").with_(runtime_env={"uv": ["packaging==24.0"]})
    versions, seen, report = run([Version("base"), Pinned("older"), newer], engine, base)
    assert versions["older"] == "23.2" and versions["newer"] == "24.0", versions
    assert len(set(versions.values())) == 3, versions
    # Additive: what only the base has is imported in all three, in the base's version.
    assert len({stage["loguru"] for stage in seen.values()}) == 1, seen
    # Isolated: three places.
    assert len({stage["prefix"] for stage in seen.values()}) == 3, seen
    # No runtime_env: the base itself.
    assert report.environment_of("base")["state"] == "base", report
    return versions["base"]


def overrides(engine, base, plain):
    """`with_` replaces what the class declares, `{}` clears it; the original stays as it is."""
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


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--base")
    arguments.add_argument("engines", nargs="*", default=["local"])
    given = arguments.parse_args()
    for engine in given.engines:
        plain = three_versions(engine, given.base)
        overrides(engine, given.base, plain)
        caching(engine, given.base)
        refusals(engine, given.base)
        print(engine, "keeps its promises")


if __name__ == "__main__":
    main()
