//! Lines and encodings of requirements files, as the spec's package manager reads them. The
//! expected results come from pip 23.2 and 26.3, and uv 0.13 (`verdicts.py` asks them).

use envspec::{MemorySource, RuntimeEnv, Tool};
use proptest::prelude::*;

use crate::{chain, install_with, load, load_with};

fn spec(tool: Tool) -> RuntimeEnv {
    RuntimeEnv::requirements_file(tool, "requirements.txt")
}

/// Returns the requirements of a file, or why the file is refused.
fn read(tool: Tool, bytes: &[u8]) -> Result<Vec<String>, String> {
    let source = MemorySource::new().with_file("/project/requirements.txt", bytes);
    let loaded = load_with(&spec(tool), &source).map_err(|error| chain(&error))?;
    let requirements = loaded.install.map(|install| install.requirements).unwrap_or_default();
    Ok(requirements.iter().map(ToString::to_string).collect())
}

fn encoded(order: fn(u16) -> [u8; 2], text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(order).collect()
}

#[test]
fn lines_end_as_for_the_package_manager() {
    for (text, pip, uv) in [
        ("# c\ridna==3.7\r", &["idna==3.7"][..], Some(&["idna==3.7"][..])),
        ("six\n# x\ridna\nfoo\n", &["foo", "idna", "six"], Some(&["foo", "idna", "six"])),
        ("six # x\ridna", &["idna", "six"], Some(&["idna", "six"])),
        ("six\r\ridna\r\r\n", &["idna", "six"], Some(&["idna", "six"])),
        ("six\u{b}idna\u{c}foo", &["foo", "idna", "six"], None),
        ("six\u{85}idna\u{2028}foo", &["foo", "idna", "six"], None),
        ("six \\\r# c\ridna", &["idna", "six"], Some(&["idna", "six"])),
        (
            "idna==3.7 \\\r ; os_name == 'nt'",
            &["idna==3.7 ; os_name == 'nt'"],
            Some(&["idna==3.7 ; os_name == 'nt'"]),
        ),
    ] {
        assert_eq!(read(Tool::Pip, text.as_bytes()).unwrap(), pip, "{text:?}");
        match uv {
            Some(uv) => assert_eq!(read(Tool::Uv, text.as_bytes()).unwrap(), uv, "{text:?}"),
            None => assert!(read(Tool::Uv, text.as_bytes()).is_err(), "{text:?}"),
        }
        // A list behaves the same, since Ray writes its lines into such a file.
        let install = install_with(&RuntimeEnv::pip([text]), &MemorySource::new());
        assert_eq!(install.requirements.len(), pip.len(), "{text:?}");
    }
}

#[test]
fn a_byte_order_mark_tells_the_encoding() {
    let text = "idna==3.7\nsix # \u{e9}\u{65e5}\n";
    let utf8 = format!("\u{feff}{text}").into_bytes();
    for bytes in [utf8, encoded(u16::to_le_bytes, text), encoded(u16::to_be_bytes, text)] {
        for tool in [Tool::Pip, Tool::Uv] {
            assert_eq!(read(tool, &bytes).unwrap(), ["idna==3.7", "six"], "{tool} {bytes:?}");
        }
    }
    for order in [u32::to_le_bytes, u32::to_be_bytes] {
        let bytes: Vec<u8> =
            format!("\u{feff}{text}").chars().flat_map(|c| order(u32::from(c))).collect();
        assert_eq!(read(Tool::Pip, &bytes).unwrap(), ["idna==3.7", "six"]);
        assert!(read(Tool::Uv, &bytes).is_err());
    }
    // Half a character, and no byte order mark.
    for bytes in [&[encoded(u16::to_le_bytes, "six"), vec![b'x']].concat()[..], b"s\0i\0x\0"] {
        assert!(read(Tool::Pip, bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_comment_tells_pip_the_encoding() {
    let latin = b"# -*- coding: latin-1 -*-\n# caf\xe9\nidna==3.7\n";
    assert_eq!(read(Tool::Pip, latin).unwrap(), ["idna==3.7"]);
    assert_eq!(
        read(Tool::Uv, latin).unwrap_err(),
        "`uv` cannot be used: `/project/requirements.txt` is no text that uv reads: \
         it is no UTF-8 text from byte 31 on"
    );
    for (bytes, is_read) in [
        (&b"\n# vim: set fileencoding=iso-8859-1 :\n# \xe9\nsix"[..], true),
        (b"#coding:Latin_1\nsix # \xe9", true),
        (b"# coding: utf-8\nsix", true),
        (b"# coding: koi8-r\nsix", true),
        (b"# decoding x, coding: latin-1\nsix # \xe9", true),
        // A declaration in the third line, outside of a comment, a wrong one, and an unknown one.
        (b"\n\n# coding: latin-1\n# \xe9\nsix", false),
        (b"six # coding: latin-1 \xe9", false),
        (b"# coding: ascii\nsix # \xe9", false),
        (b"# coding: utf-8\nsix # \xe9", false),
        (b"# coding: nonsense\nsix", false),
        (b"# \xe9\nsix", false),
    ] {
        assert_eq!(read(Tool::Pip, bytes).is_ok(), is_read, "{}", bytes.escape_ascii());
    }
    let error = load_with(
        &spec(Tool::Uv),
        &MemorySource::new().with_file("/project/requirements.txt", latin),
    );
    assert_eq!(error.unwrap_err().hint().as_deref(), Some("save the file as UTF-8"));
}

proptest! {
    /// A text means the same in every encoding that the tool reads.
    #[test]
    fn an_encoding_changes_nothing(names in proptest::collection::vec("[a-z]{1,5}", 0..5), end in "\r\n|\n|\r") {
        let lines: Vec<String> =
            names.iter().map(|name| format!("{name} # \u{e9}{end}")).collect();
        let text = lines.concat();
        let latin: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap()).collect();
        let latin = [b"# coding: latin-1\n", &latin[..]].concat();
        let expected = read(Tool::Uv, text.as_bytes()).unwrap();
        prop_assert_eq!(&read(Tool::Pip, text.as_bytes()).unwrap(), &expected);
        prop_assert_eq!(&read(Tool::Pip, &latin).unwrap(), &expected);
        for order in [u16::to_le_bytes, u16::to_be_bytes] {
            prop_assert_eq!(&read(Tool::Uv, &encoded(order, &text)).unwrap(), &expected);
            prop_assert_eq!(&read(Tool::Pip, &encoded(order, &text)).unwrap(), &expected);
        }
    }
}

#[test]
fn each_package_manager_has_lines_of_its_own() {
    let url = "https://h/idna-3.7-py3-none-any.whl";
    let no_blanks = format!("idna @ {url};os_name=='nt'");
    for (line, pip, uv) in [
        // pip before 24 takes a name before a repository only with a host.
        ("git+file:///r#egg=nam", Some("git+file:///r#egg=nam"), Some("git+file:///r#egg=nam")),
        (
            &*no_blanks,
            Some("idna @ https://h/idna-3.7-py3-none-any.whl ; os_name == 'nt'"),
            Some("idna @ https://h/idna-3.7-py3-none-any.whl;os_name=='nt'"),
        ),
        ("idna==3.7 ;", Some("idna==3.7"), None),
        ("idna;", Some("idna"), None),
        ("idna ; # why", Some("idna"), None),
        (
            "idna;python_version>='3.6.*'",
            Some("idna ; python_version >= '3.6.*'"),
            Some("idna ; python_version >= '3.6.*'"),
        ),
        ("_rocprof_sys", None, None),
        ("_rocprof_sys==1", None, None),
        ("mediap@==1.1.6", None, None),
        ("mediap @ >=1", None, None),
    ] {
        for (tool, expected) in [(Tool::Pip, pip), (Tool::Uv, uv)] {
            let found = read(tool, line.as_bytes());
            match expected {
                Some(expected) => assert_eq!(found.unwrap(), [expected], "{tool}: {line}"),
                None => assert!(found.is_err(), "{tool}: {line}"),
            }
        }
    }
    let error = read(Tool::Uv, b"mediap@==1.1.6").unwrap_err();
    assert!(error.contains("a version needs no `@`"), "{error}");
}

#[test]
fn options_for_the_package_manager_alone_reach_it() {
    let lines = ["idna", "--trusted-host h", "--prefer-binary --use-feature=fast-deps"];
    let source = MemorySource::new();
    let install = install_with(&RuntimeEnv::pip(lines), &source);
    let options = ["--prefer-binary", "--trusted-host", "h", "--use-feature", "fast-deps"];
    assert_eq!(install.tool_options, options);
    // uv names the option for trusted hosts differently, and ignores pip's other options.
    let install = install_with(&RuntimeEnv::uv(lines), &source);
    assert_eq!(install.tool_options, ["--allow-insecure-host", "h"]);
    for line in ["--trusted-host", "--use-feature=", "--prefer-binary=x"] {
        assert!(load_with(&RuntimeEnv::pip(["idna", line]), &source).is_err(), "{line}");
    }
}

#[test]
fn a_constraint_of_uv_may_have_extras() {
    let with = |spec: RuntimeEnv| spec.with_constraints(["idna[x]==3.7"]);
    let install = install_with(&with(RuntimeEnv::uv(["idna"])), &MemorySource::new());
    assert_eq!(install.constraints[0].to_string(), "idna[x]==3.7");
    assert!(load_with(&with(RuntimeEnv::pip(["idna"])), &MemorySource::new()).is_err());
}

/// Returns the first index and the others that a spec asks.
fn indexes(spec: &RuntimeEnv) -> Vec<String> {
    let index = install_with(spec, &MemorySource::new()).index;
    index.index_url.iter().chain(&index.extra_index_urls).map(ToString::to_string).collect()
}

#[test]
fn an_index_url_of_a_line_takes_the_place_of_all_indexes_before_it_for_pip() {
    let (x, y, z) = ("https://h/x", "https://h/y", "https://h/z");
    let extra = |url: &str| format!("--extra-index-url {url}");
    let first = |url: &str| format!("--index-url {url}");
    for (lines, expected) in [
        (vec![extra(x), first(y)], vec![y]),
        (vec![first(y), extra(x)], vec![y, x]),
        (vec![format!("{} {}", extra(x), first(y))], vec![y, x]),
        (vec![extra(x), format!("{} {}", extra(z), first(y))], vec![y, z]),
        (vec![first(x), extra(z), first(y)], vec![y]),
    ] {
        let lines = lines.into_iter().chain(["six".to_owned()]);
        assert_eq!(indexes(&RuntimeEnv::pip(lines.clone())), expected, "{lines:?}");
    }
    // A line says more than the command line, which pip reads first.
    let with = |options: [String; 2], line: &str| {
        RuntimeEnv::pip(["six", line]).with_tool_options(options)
    };
    assert_eq!(indexes(&with([extra(x), first(z)].map(|it| option(&it)), &first(y))), [y]);
    assert_eq!(indexes(&with([extra(x), first(z)].map(|it| option(&it)), &extra(y))), [z, x, y]);
}

fn option(line: &str) -> String {
    line.replace(' ', "=")
}

#[test]
fn uv_takes_one_index_url_from_all_lines_and_another_from_the_command_line() {
    let lines = |second: &str| ["six", "-i https://h/x", second].map(str::to_owned);
    let error = load(&RuntimeEnv::uv(lines("-i https://me:hunter2@h/y"))).unwrap_err();
    let text = "`--index-url` is `https://h/x` and `https://h/y`, and uv takes one";
    assert!(chain(&error).starts_with("`uv[2]`") && chain(&error).ends_with(text), "{error:?}");
    assert!(error.hint().unwrap().contains("--extra-index-url"));
    let constrained =
        RuntimeEnv::uv(["six", "-i https://h/x"]).with_constraints(["-i https://h/y"]);
    assert!(chain(&load(&constrained).unwrap_err()).ends_with("and uv takes one"));
    assert_eq!(indexes(&RuntimeEnv::uv(lines("-i https://h/x"))), ["https://h/x"]);
    let given =
        RuntimeEnv::uv(["six", "-i https://h/x"]).with_tool_options(["--index-url=https://h/y"]);
    assert_eq!(indexes(&given), ["https://h/y"]);
    let source = MemorySource::new().with_file("/project/c.txt", "-i https://h/x");
    let given = RuntimeEnv::uv(["six"]).with_tool_options(["--index-url=https://h/y", "-cc.txt"]);
    assert_eq!(install_with(&given, &source).index.index_url.unwrap().expose(), "https://h/y");
    assert_eq!(
        indexes(&RuntimeEnv::uv(["six", "--extra-index-url https://h/x", "-i https://h/y"])),
        ["https://h/y", "https://h/x"]
    );
}

#[test]
fn pip_overlooks_all_links_of_a_line_but_the_first() {
    let links = |spec: RuntimeEnv| install_with(&spec, &MemorySource::new()).index.find_links.len();
    assert_eq!(links(RuntimeEnv::pip(["six", "-f https://h/x -f https://h/y"])), 1);
    assert_eq!(links(RuntimeEnv::pip(["six", "-f https://h/x", "-f https://h/y"])), 2);
}

#[test]
fn kinds_of_archives_add_up_as_for_the_package_manager() {
    let lists = |tool: Tool, lines: &[&str], options: &[&str]| {
        let lines = lines.iter().chain(&["six"]).copied();
        let spec = match tool {
            Tool::Pip => RuntimeEnv::pip(lines),
            Tool::Uv => RuntimeEnv::uv(lines),
        };
        let options = options.iter().copied();
        let index = install_with(&spec.with_tool_options(options), &MemorySource::new()).index;
        (index.no_binary.join(" "), index.only_binary.join(" "))
    };
    let (no, only, all) = ("--no-binary six", "--only-binary six", "--no-binary :all:");
    let none = "--no-binary=:none:";
    for (lines, options, pip, uv) in [
        (&[all, only, no][..], &[][..], (":all:", ""), (":all:", "six")),
        (&[no, only], &[], ("", "six"), ("six", "six")),
        (&[no, none], &[], ("", ""), ("six", "")),
        // pip reads the command line before the lines, and uv adds the lines to it.
        (&[no], &["--only-binary=six"], ("six", ""), ("six", "six")),
        (&[no], &[none], ("six", ""), ("six", "")),
        (&[], &["--no-binary=six", none], ("", ""), ("", "")),
    ] {
        for (tool, expected) in [(Tool::Pip, pip), (Tool::Uv, uv)] {
            let (no, only) = lists(tool, lines, options);
            assert_eq!((&*no, &*only), expected, "{tool}: {lines:?} {options:?}");
        }
    }
}
