//! Digests that must not change: each is the key of cached environments. A change here needs a new
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
            "9c3080d6e56bd81429362e02c6052e1e778296cf607c2eee974bae050e21c439",
            RuntimeEnv::pip(["packaging==23.2"]),
        ),
        (
            "b1806821967905dae566b1cc651ffeb5d5c52d7a5713dc93de290345310382bd",
            RuntimeEnv::uv(["packaging==24.0"]),
        ),
        (
            "aad16661e2707193630cce2175a24dbadca3b405586e34cc2967ef34ccea6601",
            RuntimeEnv::uv([
                "a[x,y]>=1,<2,!=1.5.*,~=1.0 ; python_version < '3.13' or os_name == 'nt'",
            ]),
        ),
        (
            "d6565222f07939f8bb5bb60cf67d6a718f432a49110f5beb4723ead467344fd9",
            RuntimeEnv::pip(["a @ git+https://me:secret@h/a@main", "https://h/b-1.zip"]),
        ),
        (
            "c1824207a6b088737ce27fff8bae64e62c3391bb63cf9be8d2f5bc069bea4d08",
            RuntimeEnv::pip(["./wheels/a-1-py3-none-any.whl", "-e ./lib", "./lib"]),
        ),
        (
            "f7645ffc762886aa436228a12d9a4aff55c558020c224f91297f6f4ed614a4a4",
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
    let mut expected = b"envspec/v4\n".to_vec();
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
