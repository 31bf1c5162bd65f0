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
            "21dff4e4cfab1a15dcbaf9d609ac791db921f4dec9c0ede3bcc41eb2f9c324eb",
            RuntimeEnv::pip(["packaging==23.2"]),
        ),
        (
            "185172a469c41ff6873a8ca868b788c0ef1ac435fcaa4bfd35606fad15da3608",
            RuntimeEnv::uv(["packaging==24.0"]),
        ),
        (
            "f08311928e335a6d2e1ae6c02bb1edc2782a6f44d2d115535d92f4338fd8f4b9",
            RuntimeEnv::uv([
                "a[x,y]>=1,<2,!=1.5.*,~=1.0 ; python_version < '3.13' or os_name == 'nt'",
            ]),
        ),
        (
            "1b10bf656837c0c94dc03645d84303d9821d4701c82d04445a34df81298090cc",
            RuntimeEnv::pip(["a @ git+https://me:secret@h/a@main", "https://h/b-1.zip"]),
        ),
        (
            "4cac26a3d694097a32a4eff0d8c4e59339798dc436ea77a8d3edc29047d151f1",
            RuntimeEnv::pip(["./wheels/a-1-py3-none-any.whl", "-e ./lib", "./lib"]),
        ),
        (
            "947833105c116103d8bb207086ae11b92de312d2403bb3b7ab8775aae5e52a6f",
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
    let mut expected = b"envspec/v1\n".to_vec();
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
