//! `import curator`: environments alone.

use crate::pipelines::Folder;
use crate::python_pipelines::passes;

/// An environment is the same one for a command in another folder, whatever relative paths it was made
/// by: of requirements, of the base, of the cache and of the program.
#[test]
fn an_environment_is_the_same_in_every_folder() {
    passes(
        &Folder::new(""),
        r#"
import os
import subprocess
import sys
from curator import environment

os.makedirs("sub")
for folder, version in ((".", "23.2"), ("sub", "24.0")):
    with open(f"{folder}/req.txt", "w") as file:
        file.write(f"packaging=={version}\n")
subprocess.run([sys.executable, "-m", "venv", "--without-pip", "v1"], check=True)
os.environ["CURATOR_PROGRAM"] = os.path.relpath(os.environ["CURATOR_PROGRAM"])
os.environ["CURATOR_CACHE_DIR"] = os.path.relpath(os.environ["CURATOR_CACHE_DIR"])

code = "import os, sys, packaging; print(sys.prefix, packaging.__version__, os.getcwd())"
made = [
    environment(uv="req.txt"),
    environment(uv=["-r req.txt"], base="v1"),
    environment({"pip": "req.txt"}, base="v1/bin/python"),
]
for env in made:
    for folder in (None, "sub"):
        done = env.run("python", "-c", code, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
        prefix, version, cwd = done.stdout.split()
        assert os.path.normpath(env.python).startswith(prefix) and version == "23.2", (env, done.stdout)
        assert cwd == os.path.realpath(folder or "."), cwd
bare = environment(base="v1").run(
    "python", "-c", "import sys; print(sys.prefix)", cwd="sub", stdout=subprocess.PIPE, text=True
)
assert bare.stdout.strip() == os.path.abspath("v1"), bare
"#,
    );
}

/// An error of an environment is the error alone, and a wrong argument is told by its name and value.
#[test]
fn errors_of_an_environment_name_what_is_wrong() {
    passes(
        &Folder::new(""),
        r#"
import subprocess
from curator import NoEnvironmentError, environment

# The error alone, without what was done before it.
for spec in ({"uv": ["packaging==999"]}, {"uv": ["no-such-file"], "x": 1}, {"uv": "no-such-file"}):
    try:
        environment(spec)
    except NoEnvironmentError as error:
        first = error.args[0].splitlines()[0]
        assert "finding or fetching" not in str(error) and not first.startswith("error:"), str(error)
    else:
        raise AssertionError(spec)

for call, words in [
    (lambda: environment(["packaging"]), "`runtime_env` is a table, as in {'uv': ['packaging']}, not ['packaging']"),
    (lambda: environment("packaging"), "`runtime_env` is a table"),
    (lambda: environment(uv=5), "`uv` is a list of packages, as in ['packaging'], or the name of a requirements file, not 5"),
    (lambda: environment(pip=b"packaging"), "`pip` is a list of packages"),
    (lambda: environment({"uv": {"packaging"}}), "`uv` of the environment is {'packaging'}"),
]:
    try:
        call()
    except TypeError as error:
        assert words in str(error), error
    else:
        raise AssertionError(words)

# A table says more about packages.
code = "import packaging; print(packaging.__version__)"
made = environment(uv={"packages": ["packaging==24.0"]})
assert made.run("python", "-c", code, stdout=subprocess.PIPE, text=True).stdout == "24.0\n"
"#,
    );
}
