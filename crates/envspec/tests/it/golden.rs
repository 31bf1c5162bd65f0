//! Digests that must not change: every cached environment is keyed by one. A change here needs a new
//! domain tag in `install.rs` and a line in the changelog.

use envspec::{Install, MemorySource, RuntimeEnv, Tool};

use crate::install_with;

fn source() -> MemorySource {
    MemorySource::new()
        .with_file("/project/wheels/a-1-py3-none-any.whl", "wheel")
        .with_file("/project/lib/pyproject.toml", "[project]")
        .with_file("/project/c.txt", "b<2")
}

fn golden() -> Vec<(&'static str, RuntimeEnv)> {
    vec![
        (
            "52105367f6d92b94428f36ce4cd6aaacf0eaabc4704b0d0b1cff35939f00d873",
            RuntimeEnv::pip(["packaging==23.2"]),
        ),
        (
            "22d8f507eadfd55526c9d552a62ae07308990dede794b6f092a51ec69fed8dac",
            RuntimeEnv::uv(["packaging==24.0"]),
        ),
        (
            "b074c6af228ef002ab5a4ebdbb5f7a2df86adaa9031ba0937deebaf7d9ac27ee",
            RuntimeEnv::uv([
                "a[x,y]>=1,<2,!=1.5.*,~=1.0 ; python_version < '3.13' or os_name == 'nt'",
            ]),
        ),
        (
            "4487d78f259d9a2c2a07d71cf04d51f5ce1c4ba99b17036554f8b591f283eacf",
            RuntimeEnv::pip(["a @ git+https://me:secret@h/a@main", "https://h/b-1.zip"]),
        ),
        (
            "33b1cfcf38069976c787c2d7ad5e2b172681ec8412027e8471e71a97b2ca394b",
            RuntimeEnv::pip(["./wheels/a-1-py3-none-any.whl", "-e ./lib", "./lib"]),
        ),
        (
            "cfa20d389e1c1953f9bcdb92f7a199ea60ae35a8236a87fff8dfbc38047980f5",
            RuntimeEnv::pip([
                "a",
                "-i https://me:secret@h/simple",
                "--extra-index-url https://i/",
                "-f wheels",
                "--pre",
                "--no-binary b",
                "--only-binary c",
                "--require-hashes",
            ])
            .with_constraints(["-c c.txt"])
            .with_overrides(["d==1"])
            .with_keep(["Ray"])
            .with_check(true)
            .with_tool_version("==24.1.2")
            .with_tool_options(["--no-deps", "--no-cache-dir"])
            .with_env_var("PIP_CONSTRAINT", "c.txt")
            .with_env_var("UV_INDEX_X_PASSWORD", "secret")
            .with_env_var("B", "1")
            .with_build_env(["B"]),
        ),
    ]
}

#[test]
fn digests_are_what_they_were() {
    for (expected, spec) in golden() {
        assert_eq!(install_with(&spec, &source()).digest().to_string(), expected, "{spec:?}");
    }
}

#[test]
fn the_bytes_are_what_the_documentation_says() {
    let install = Install::new(Tool::Pip, Vec::new());
    let mut expected = b"envspec/v2\n".to_vec();
    expected.extend(3_u64.to_le_bytes());
    expected.extend(b"pip");
    expected.push(0); // no version
    expected.extend([0; 4 * 8]); // requirements, constraints, overrides, keep
    expected.extend([0; 3 * 8]); // index, extra indexes, links
    expected.extend([0; 3]); // no index, pre, hashes
    expected.extend([0; 2 * 8]); // binary restrictions
    expected.extend([0; 8]); // options
    expected.push(0); // check
    expected.extend([0; 2 * 8]); // variables, files
    assert_eq!(install.canonical_bytes(), expected);
}
