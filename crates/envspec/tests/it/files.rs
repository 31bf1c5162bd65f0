//! Requirements files, local packages, and other files that a spec refers to.

use std::io;
use std::path::Path;

use envspec::{Digest, Error, Install, MemorySource, RuntimeEnv, Tool};

use crate::{chain, install_with, load, load_with};

fn lines(install: &Install) -> Vec<String> {
    install.requirements.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_with_everything_in_it_is_understood() {
    let hash = "0".repeat(64);
    let source = MemorySource::new()
        .with_file(
            "/project/requirements.txt",
            format!(
                "\u{feff}# top\r\n\
                 -i https://me:pw@Index.example/simple/\r\n\
                 --extra-index-url=https://two.example\n\
                 --find-links links  # a folder beside this file\n\
                 --pre --no-binary A_a,b\n\
                 --only-binary=:none:\n\
                 --require-hashes\n\
                 -r nested/more.txt\n\
                 -c \"nested/con straints.txt\"\n\
                 Foo[X]==1.0.0 \\\n    --hash=sha256:{hash} \\\n    --hash sha256:{hash}\n\
                 bar ; python_version<\"4\" # why\n"
            ),
        )
        .with_file(
            "/project/nested/more.txt",
            "-e ../local\n./one-1-py3-none-any.whl\n-r more2.txt",
        )
        .with_file("/project/nested/more2.txt", "baz")
        .with_file("/project/nested/con straints.txt", "foo<2\n-r more2.txt")
        .with_file("/project/local/setup.py", "")
        .with_file("/project/nested/one-1-py3-none-any.whl", "wheel")
        .with_file("/project/links/x-1-py3-none-any.whl", "x")
        .with_file("/project/links/README", "not a package");
    let spec = RuntimeEnv::requirements_file(Tool::Pip, "requirements.txt");
    let install = install_with(&spec, &source);
    assert_eq!(
        lines(&install),
        [
            "bar ; python_version < '4.0'".to_owned(),
            "baz".to_owned(),
            format!("foo[x]==1.0 --hash=sha256:{hash}"),
            "-e /project/local".to_owned(),
            "/project/nested/one-1-py3-none-any.whl".to_owned(),
        ]
    );
    let constraints: Vec<_> = install.constraints.iter().map(ToString::to_string).collect();
    assert_eq!(constraints, ["baz", "foo<2.0"]);
    let index = &install.index;
    assert_eq!(index.index_url.as_ref().unwrap().to_string(), "https://index.example/simple");
    assert_eq!(index.extra_index_urls[0].expose(), "https://two.example");
    assert_eq!(index.find_links[0].path(), Some(Path::new("/project/links")));
    assert_eq!(index.no_binary, ["a-a", "b"]);
    assert!(index.pre && index.require_hashes && index.only_binary.is_empty() && !index.no_index);
    assert_eq!(
        install.contents.keys().map(|path| path.to_str().unwrap()).collect::<Vec<_>>(),
        ["/project/links", "/project/local", "/project/nested/one-1-py3-none-any.whl"]
    );
    // The digest covers the index and the contents of the links and of the wheel, but not the
    // README.
    let digest = |source: MemorySource| install_with(&spec, &source).digest();
    let first = digest(source.clone());
    assert_eq!(first, digest(source.clone().with_file("/project/links/README", "changed")));
    for file in ["links/x-1-py3-none-any.whl", "local/setup.py", "nested/one-1-py3-none-any.whl"] {
        let changed = source.clone().with_file(format!("/project/{file}"), "changed");
        assert_ne!(first, digest(changed), "{file}");
    }
}

#[test]
fn a_mistake_in_a_file_is_told_by_line() {
    let source = MemorySource::new()
        .with_file("/project/requirements.txt", "a\n# b\n-r nested/more.txt\n")
        .with_file("/project/nested/more.txt", "\nc \\\n  ; nonsense\n");
    let error = load_with(&RuntimeEnv::uv(["-r requirements.txt"]), &source).unwrap_err();
    assert_eq!(
        chain(&error),
        "`uv[0]` cannot be used: line 3 of `/project/requirements.txt` cannot be used: \
         line 2 of `/project/nested/more.txt` cannot be used: \
         `c   ; nonsense` is no requirement: `nonsense` is no variable of a marker"
    );
}

#[test]
fn files_that_cannot_be_had_are_refused() {
    for (file, message) in [
        ("-r missing.txt", "failed to read `/project/missing.txt`: entity not found"),
        ("-r https://h/r.txt", "a requirements file must be local"),
        ("-r own.txt", "`/project/own.txt` includes itself"),
        ("-c own.txt", "`/project/own.txt` includes itself"),
        ("./missing-1-py3-none-any.whl", "failed to read"),
        ("./missing", "failed to list"),
        ("-e ./missing", "holds no pyproject.toml, setup.py or setup.cfg"),
        ("a\n-f missing", "failed to list `/project/missing`"),
    ] {
        let source = MemorySource::new().with_file("/project/own.txt", "-r ./sub/../own.txt");
        let error = load_with(&RuntimeEnv::pip([file]), &source).unwrap_err();
        assert!(chain(&error).contains(message), "{file}: {}", chain(&error));
    }
}

#[test]
fn constraints_and_overrides_need_a_name() {
    for line in ["-e ./x", "./folder", "a[x]==1", "https://h/folder"] {
        let error = load(&RuntimeEnv::pip(["a"]).with_constraints([line])).unwrap_err();
        assert!(chain(&error).contains("cannot be a constraint"), "{}", chain(&error));
    }
    let error = load(&RuntimeEnv::pip(["a"]).with_overrides(["-e ./x"])).unwrap_err();
    assert!(chain(&error).contains("cannot be an override"), "{}", chain(&error));
    let source = MemorySource::new()
        .with_file("/project/c.txt", "b<2\n-r d.txt")
        .with_file("/project/d.txt", "c<2");
    let spec = RuntimeEnv::from_json(r#"{"pip": ["a"], "constraints": "c.txt"}"#).unwrap();
    assert_eq!(install_with(&spec, &source).constraints.len(), 2);
}

#[test]
fn a_folder_counts_by_its_contents_wherever_it_lies() {
    let at = |dir: &str| {
        MemorySource::new()
            .with_file(format!("{dir}/pyproject.toml"), "[project]")
            .with_file(format!("{dir}/pkg/__init__.py"), "x = 1")
    };
    let digest =
        |line: &str, source: &MemorySource| install_with(&RuntimeEnv::pip([line]), source).digest();
    let here = digest("./lib", &at("/project/lib"));
    assert_eq!(here, digest("/elsewhere/other", &at("/elsewhere/other")));
    let built = at("/project/lib")
        .with_file("/project/lib/build/lib/pkg/__init__.py", "x = 1")
        .with_file("/project/lib/pkg/__pycache__/__init__.cpython-311.pyc", "bytes")
        .with_file("/project/lib/.git/HEAD", "ref");
    assert_eq!(here, digest("./lib", &built));
    let changed = at("/project/lib").with_file("/project/lib/pkg/__init__.py", "x = 2");
    assert_ne!(here, digest("./lib", &changed));
    // An editable points to its folder, so its path counts, too.
    let editable = digest("-e ./lib", &at("/project/lib"));
    assert_ne!(editable, digest("-e /elsewhere/other", &at("/elsewhere/other")));
    let rebuilt = at("/project/lib").with_file("/project/lib/pyproject.toml", "[project] # 2");
    assert_ne!(editable, digest("-e ./lib", &rebuilt));
}

#[test]
fn a_folder_that_is_named_twice_counts_whole() {
    for lines in [["./lib", "-e ./lib"], ["./lib", "-f ./lib"]] {
        let digest = |text: &str| {
            let source = MemorySource::new()
                .with_file("/project/lib/setup.py", "")
                .with_file("/project/lib/pkg.py", text);
            install_with(&RuntimeEnv::pip(lines), &source).digest()
        };
        assert_ne!(digest("x = 1"), digest("x = 2"), "{lines:?}");
    }
}

#[test]
fn a_closure_reads_files_but_lists_none() {
    let source = |path: &Path| match path.to_str() {
        Some("/project/r.txt") => Ok(b"a\n./folder\n".to_vec()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    let error = RuntimeEnv::pip(["-r r.txt"]).load(&source, Path::new("/project")).unwrap_err();
    assert!(matches!(error, Error::List { .. }), "{error:?}");
    assert_eq!(error.hint().as_deref(), Some("load the spec with a `Source` that lists folders"));
}

#[test]
fn options_for_the_package_manager_are_sorted_out() {
    let source = MemorySource::new().with_file("/project/c.txt", "b<2");
    let spec = RuntimeEnv::uv(["a"]).with_tool_options([
        "--no-build-isolation",
        "-c",
        "c.txt",
        "--build-constraint=c.txt",
        "--prerelease",
        "allow",
        "--no-index",
    ]);
    let install = install_with(&spec, &source);
    assert_eq!(
        install.tool_options,
        ["--no-build-isolation", "--build-constraint=/project/c.txt", "--prerelease=allow"]
    );
    assert_eq!(install.constraints.len(), 1);
    assert!(install.index.no_index);
    assert_eq!(install.contents[Path::new("/project/c.txt")], Digest::of(b"b<2"));
}

/// Settings that decide where packages go, or whether they are installed, never get through.
#[test]
fn options_that_say_where_or_whether_are_refused_in_any_spelling() {
    let refused = |spec: RuntimeEnv, options: &str| {
        let spec = spec.with_tool_options(options.split_whitespace());
        let error = load(&spec).expect_err(options);
        assert!(chain(&error).contains("is refused"), "{options}: {}", chain(&error));
    };
    for options in [
        "--target=x",
        "-t x",
        "-t/x",
        "-Ut /x",
        "-U -t /x",
        "-Ut/x",
        "--targ /x",
        "--tar=/x",
        "--user",
        "--no-user",
        "--prefix /x",
        "--root=/x",
        "--python /p",
        "--python=/p",
        "--dry-run",
        "--dry",
        "-I",
        "-UI",
        "--ignore-installed",
        "--ignore-i",
        "--isolated",
        "--iso",
        "--break-system-packages",
        "--br",
        "--platform x",
        "--abi x",
        "--src /x",
        "--source /x",
        "--group g",
        "-h",
        "--version",
        "-V",
    ] {
        refused(RuntimeEnv::pip(["a"]), options);
    }
    for options in [
        "--target=x",
        "-t x",
        "-t=/x",
        "-Ut /x",
        "--prefix=/x",
        "--python=/p",
        "-p3.12",
        "-p /p",
        "--system",
        "--no-system",
        "--user",
        "--dry-run",
        "--break-system-packages",
        "--exact",
        "--isolated",
        "--project /x",
        "--directory=/x",
        "--group g",
        "--check",
    ] {
        refused(RuntimeEnv::uv(["a"]), options);
    }
    // Ambiguous short forms, and options of neither tool, are refused as well.
    for (spec, options, expected) in [
        (RuntimeEnv::pip(["a"]), "--pyth=/p", "may be one of --python, --python-version"),
        (RuntimeEnv::uv(["a"]), "--targ=/x", "none that uv is known to have"),
        (RuntimeEnv::pip(["a"]), "--no-such https://u:pw@h", "none that pip is known to have"),
        (RuntimeEnv::pip(["a"]), "--pre six", "is no option"),
    ] {
        let error = load(&spec.with_tool_options(options.split_whitespace())).expect_err(options);
        assert!(chain(&error).contains(expected), "{options}: {}", chain(&error));
        assert!(error.hint().is_some() || options == "--pre six", "{options}");
    }
}

#[test]
fn addresses_of_shortened_options_are_the_specs() {
    let spec = RuntimeEnv::pip(["a"]).with_tool_options(["--extra-index", "https://u:pw@h/simple"]);
    let install = install_with(&spec, &MemorySource::new());
    assert_eq!(install.index.extra_index_urls[0].expose(), "https://u:pw@h/simple");
    assert!(install.tool_options.is_empty());
}

#[test]
fn what_variables_and_options_of_a_spec_name_counts_by_its_contents() {
    let wheel = |text: &str| MemorySource::new().with_file("/project/w/a-1-py3-none-any.whl", text);
    let list = |text: &str| MemorySource::new().with_file("/project/l.txt", text);
    for (source, spec) in [
        (
            &wheel as &dyn Fn(&str) -> MemorySource,
            RuntimeEnv::pip(["a"]).with_env_var("PIP_FIND_LINKS", "w"),
        ),
        (&wheel, RuntimeEnv::uv(["a"]).with_env_var("UV_FIND_LINKS", "w")),
        (&wheel, RuntimeEnv::uv(["a"]).with_tool_options(["--index", "mine=w"])),
        (&wheel, RuntimeEnv::uv(["a"]).with_tool_options(["--default-index=w"])),
        (&list, RuntimeEnv::uv(["a"]).with_tool_options(["--excludes", "l.txt"])),
        (&list, RuntimeEnv::uv(["a"]).with_tool_options(["--overrides=l.txt"])),
        (&list, RuntimeEnv::uv(["a"]).with_env_var("UV_EXCLUDE", "l.txt")),
        (&list, RuntimeEnv::uv(["a"]).with_env_var("UV_OVERRIDE", "l.txt")),
    ] {
        let digest = |text: &str| install_with(&spec, &source(text)).digest();
        assert_ne!(digest("b<1"), digest("b<2"), "{spec:?}");
    }
    let spec = RuntimeEnv::uv(["a"]).with_env_var("UV_INDEX", "x=w https://h");
    let install = install_with(&spec, &wheel(""));
    assert_eq!(install.build_env["UV_INDEX"], "x=/project/w https://h");
}

#[test]
fn variables_that_name_files_count_by_their_contents() {
    let digest = |text: &str| {
        let source = MemorySource::new().with_file("/project/c.txt", text);
        let spec = RuntimeEnv::pip(["a"]).with_env_var("PIP_CONSTRAINT", "c.txt");
        let install = install_with(&spec, &source);
        assert_eq!(install.build_env["PIP_CONSTRAINT"], "/project/c.txt");
        install.digest()
    };
    assert_ne!(digest("b<1"), digest("b<2"));
    let spec = RuntimeEnv::pip(["a"]).with_env_var("PIP_CONFIG_FILE", "/dev/null");
    assert!(load(&spec).is_ok());
}

#[test]
fn a_spec_without_a_requirement_installs_nothing() {
    let source = MemorySource::new().with_file("/project/r.txt", "# nothing\n--pre\n");
    for spec in [
        RuntimeEnv::new(),
        RuntimeEnv::pip(["# nothing", ""]),
        RuntimeEnv::requirements_file(Tool::Uv, "r.txt"),
        RuntimeEnv::new().with_constraints(["a"]),
    ] {
        assert_eq!(load_with(&spec, &source).unwrap().install, None, "{spec:?}");
    }
}

/// Returns a source with a page, and an archive that it links to.
fn page(at: &str, link: &str, archive: &str, contents: &str) -> MemorySource {
    MemorySource::new()
        .with_file(format!("/project/{at}"), format!("<a href=\"{link}\">a</a>"))
        .with_file("/project/links/other-1-py3-none-any.whl", "another")
        .with_file(format!("/project/{archive}"), contents)
}

#[test]
fn what_a_page_links_to_counts_by_its_contents() {
    let wheel = "a-1-py3-none-any.whl";
    let there = format!("../w/{wheel}");
    let absolute = format!("file:///project/w/{wheel}#sha256=c0");
    let (beside, elsewhere) = (format!("links/{wheel}"), format!("w/{wheel}"));
    for (at, link, archive) in [
        ("links/p.html", wheel, &beside),
        ("links/p.html", &there, &elsewhere),
        ("links/p.html", &absolute, &elsewhere),
        ("links/a/index.html", &format!("../{there}"), &elsewhere),
    ] {
        let is_index = at.ends_with("index.html");
        let mut specs = vec![
            RuntimeEnv::pip(["a", "--extra-index-url links"]),
            RuntimeEnv::uv(["a"]).with_tool_options(["--index", "mine=links"]),
        ];
        if !is_index {
            specs = vec![
                RuntimeEnv::pip(["a", &format!("-f {at}")]),
                RuntimeEnv::uv(["a"]).with_env_var("UV_FIND_LINKS", at),
                RuntimeEnv::uv(["a"]).with_tool_options(["--find-links", at]),
                // pip reads the pages in a folder of links, too.
                RuntimeEnv::pip(["a", "-f links"]),
            ];
        }
        for spec in specs {
            let digest =
                |contents: &str| install_with(&spec, &page(at, link, archive, contents)).digest();
            assert_ne!(digest("one"), digest("two"), "{link}: {spec:?}");
            assert_eq!(digest("one"), digest("one"));
        }
    }
    // A link to nothing, or to another machine, is the tool's matter.
    for link in ["gone-1-py3-none-any.whl", "https://h/a-1-py3-none-any.whl"] {
        let spec = RuntimeEnv::pip(["a", "-f links/p.html"]);
        let digest =
            |contents| install_with(&spec, &page("links/p.html", link, "x", contents)).digest();
        assert_eq!(digest("one"), digest("two"));
    }
}
