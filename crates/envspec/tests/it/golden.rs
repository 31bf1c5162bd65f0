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
            "39302f3838fcfdb96539cc38edab16a6cfa35de89d55192c1e5ecf06503d357e",
            RuntimeEnv::pip(["packaging==23.2"]),
        ),
        (
            "d9031b8b003f1aca58038f8c1b8725aebf175c719840eb7f22e811e26fa5b80e",
            RuntimeEnv::uv(["packaging==24.0"]),
        ),
        (
            "98dff11892d2337127e7d9eb6e302dc63844d9dc8826b3232e44e864b9ddd41e",
            RuntimeEnv::uv([
                "a[x,y]>=1,<2,!=1.5.*,~=1.0 ; python_version < '3.13' or os_name == 'nt'",
            ]),
        ),
        (
            "2af1cfb1c4596a93d913e95f74b08128a2d93cb70d1cb418bdf706e9f2159e0c",
            RuntimeEnv::pip(["a @ git+https://me:secret@h/a@main", "https://h/b-1.zip"]),
        ),
        (
            "130a0fd9f00c375e9b2bca4951b9570d057fdedc3220c38e6786d7bf4fe04874",
            RuntimeEnv::pip(["./wheels/a-1-py3-none-any.whl", "-e ./lib", "./lib"]),
        ),
        (
            "e09189fb1bcd04465b5067bf91b30fe9c7d13151419e3aefc4cb901b83ecd1ec",
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
    let mut expected = b"envspec/v3\n".to_vec();
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
