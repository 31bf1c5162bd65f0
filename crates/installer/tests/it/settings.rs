//! Settings of pip and uv from outside the spec: every setting is classified. Those that decide
//! where packages go never get through; the others are in force and count by their meaning.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use envspec::settings::{self, Effect};
use envspec::{Install, Tool};
use installer::{Ambient, Deadline, Error, Installer, Request, Settings, Tools};
use tempfile::TempDir;

use crate::world::{
    Environment, LIMIT, install, installer, requirement_of, source_tree, tools_dir, wheel,
    without_uv,
};

/// Neither waits for a pipe nor reads a device to its end, wherever a configuration file may lie.
#[test]
fn what_is_no_file_ends_in_an_error_that_names_it() {
    let home = Home::new();
    let of = |tool| Install::new(tool, vec!["alpha".parse().unwrap()]);
    let refused = |tool, ambient: &Ambient, file: &Path, reason: &str| {
        let error = Settings::read(&of(tool), Some(&home.path("base")), ambient).unwrap_err();
        let words = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(words.contains(&file.display().to_string()), "{words}");
        assert!(words.contains(reason), "{words}");
    };
    let zero = Path::new("/dev/zero");
    let places = [
        (Tool::Pip, "PIP_CONFIG_FILE", [".config/pip/pip.conf", "base/pip.conf"]),
        (Tool::Uv, "UV_CONFIG_FILE", [".config/uv/uv.toml", "elsewhere/uv.toml"]),
    ];
    for (tool, variable, files) in places {
        refused(tool, &home.ambient().with_variable(variable, zero), zero, "larger than 16 MiB");
        for file in files {
            let pipe = home.path(file);
            duct::cmd("mkfifo", [&pipe]).run().unwrap();
            let named = home.ambient().with_variable(variable, &pipe);
            refused(tool, &named, &pipe, "it is a pipe");
            if !file.starts_with("elsewhere") {
                refused(tool, &home.ambient(), &pipe, "it is a pipe");
            }
            fs::remove_file(&pipe).unwrap();
        }
        // A file that a setting names is not waited for, either.
        let pipe = home.path("pipe");
        duct::cmd("mkfifo", [&pipe]).run().unwrap();
        let constraint = if tool == Tool::Pip { "PIP_CONSTRAINT" } else { "UV_CONSTRAINT" };
        refused(tool, &home.ambient().with_variable(constraint, &pipe), &pipe, "it is a pipe");
        refused(tool, &home.ambient().with_variable(constraint, zero), zero, "larger than 16 MiB");
        let list = home.path("list.txt");
        fs::write(&list, "-c pipe\n").unwrap();
        refused(tool, &home.ambient().with_variable(constraint, &list), &pipe, "it is a pipe");
        fs::remove_file(&pipe).unwrap();
    }
}

/// A separate home, with configuration files of pip and uv, and wheels.
struct Home {
    dir: TempDir,
    environment: Environment,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        for folder in [".config/pip", ".config/uv", "base", "elsewhere"] {
            fs::create_dir_all(dir.path().join(folder)).expect("a writable folder");
        }
        wheel(&dir.path().join("one"), "alpha", "1.0");
        wheel(&dir.path().join("two"), "alpha", "2.0");
        Self { dir, environment: Environment::bare() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a writable folder");
    }

    /// Returns the environment of a process with this home and no other configuration.
    fn ambient(&self) -> Ambient {
        let mut ambient = without_uv();
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("PIP_") || name.starts_with("UV_") || name.starts_with("XDG_") {
                ambient = ambient.without_variable(name);
            }
        }
        ambient
            .with_variable("HOME", self.dir.path())
            .with_variable("XDG_CONFIG_DIRS", self.path("system"))
    }

    fn read(&self, install: &Install, ambient: &Ambient) -> Settings {
        Settings::read(install, Some(&self.path("base")), ambient)
            .expect("settings that can be read")
    }

    /// Returns the version of `alpha` that the settings of this home lead to.
    fn version(&self, install: &Install, ambient: &Ambient) -> String {
        let python = self.environment.python();
        let settings = self.read(install, ambient);
        let request = Request::new(install, &python);
        let outcome = tool(install.tool, &python, ambient)
            .resolve(&request.with_settings(&settings))
            .expect("`alpha` is found");
        outcome.added[0].version.clone()
    }

    fn install(
        &self,
        install: &Install,
        ambient: &Ambient,
        environment: &Environment,
    ) -> Result<Settings, Error> {
        let python = environment.python();
        let settings = self.read(install, ambient);
        tool(install.tool, &python, ambient)
            .install(&Request::new(install, &python).with_settings(&settings))
            .map(|_| settings)
    }
}

fn tool(tool: Tool, python: &Path, ambient: &Ambient) -> Installer {
    // Fetched first, since the settings below would prevent it.
    installer(tool, python);
    let tools = Tools::new(tools_dir()).with_ambient(ambient.clone());
    tools.locate(tool, None, python, Deadline::after(LIMIT)).expect("the tool")
}

/// Returns the spec `alpha` with options.
fn alpha(tool: Tool, options: &[&str]) -> Install {
    let mut wanted = install(tool, &["alpha"]);
    wanted.tool_options = options.iter().map(|&option| option.to_owned()).collect();
    wanted
}

/// Returns the long options at the beginnings of a help's lines, and the variables that it names.
fn listed(help: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut options, mut variables) = (BTreeSet::new(), BTreeSet::new());
    for line in help.lines() {
        let start = line.trim_start();
        // Descriptions of options are indented further.
        if start.starts_with('-') && line.len() - start.len() < 10 {
            let words = start.split([' ', ',', '=']).take_while(|word| !word.starts_with('<'));
            let long = words.take(4).filter_map(|word| word.strip_prefix("--"));
            let name = |word: &str| word.trim_end_matches(['.', '…']).to_owned();
            options.extend(long.map(name).filter(|name| !name.is_empty()));
        }
        for part in line.split("[env: ").skip(1) {
            let name = part.trim_start_matches(['"', '`']);
            let end = name.find(|letter: char| {
                !(letter.is_ascii_uppercase() || "_0123456789".contains(letter))
            });
            variables.insert(name[..end.unwrap_or(name.len())].to_owned());
        }
    }
    (options, variables)
}

fn unclassified(tool: Tool, help: &str) -> Vec<String> {
    let (options, variables) = listed(help);
    assert!(options.len() > 40, "the help is read: {options:?}\n{help}");
    let options = options.into_iter().filter(|name| settings::by_name(tool, name).is_none());
    let options: Vec<String> = options.map(|name| format!("--{name}")).collect();
    let variables =
        variables.into_iter().filter(|name| settings::by_variable(tool, name).is_none());
    options.into_iter().chain(variables).collect()
}

/// Law: every setting of a tool is classified. Otherwise a new version could bring one that no key
/// contains, or that moves the installation.
#[test]
fn every_setting_that_pip_lists_is_classified() {
    let environment = Environment::bare();
    let python = environment.python();
    for version in ["==23.2", ">=24"] {
        let tools = Tools::new(tools_dir()).with_ambient(without_uv());
        let deadline = Deadline::after(LIMIT);
        let pip = tools.locate(Tool::Pip, Some(version), &python, deadline).unwrap();
        let words = ["-I", "-B"].map(PathBuf::from).into_iter();
        let words = words.chain([pip.program().to_owned(), "install".into(), "--help".into()]);
        let help = duct::cmd(&python, words).env("COLUMNS", "200").read().unwrap();
        let missing = unclassified(Tool::Pip, &help);
        assert!(missing.is_empty(), "pip {} also has {missing:?}", pip.version());
    }
}

#[test]
fn every_setting_that_uv_lists_is_classified() {
    let environment = Environment::bare();
    for version in ["==0.10.6", ">=0.10.6"] {
        let tools = Tools::new(tools_dir()).with_ambient(without_uv());
        let deadline = Deadline::after(LIMIT);
        let uv = tools.locate(Tool::Uv, Some(version), &environment.python(), deadline).unwrap();
        let mut missing = Vec::new();
        for command in ["install", "compile"] {
            let words = ["pip", command, "--help"];
            let help = duct::cmd(uv.program(), words).env("COLUMNS", "200").read().unwrap();
            missing.extend(unclassified(Tool::Uv, &help));
        }
        // For an unknown key in a file, uv lists all keys.
        for text in ["none-of-it = 1\n", "[pip]\nnone-of-it = 1\n"] {
            let file = environment.root().join("uv.toml");
            fs::write(&file, text).unwrap();
            let words = ["pip", "list", "--config-file"].map(PathBuf::from).into_iter();
            let told = duct::cmd(uv.program(), words.chain([file]))
                .stderr_to_stdout()
                .unchecked()
                .read()
                .unwrap();
            let (_, keys) = told.split_once("expected one of").expect(&told);
            let keys: Vec<&str> = keys.split('`').skip(1).step_by(2).collect();
            assert!(keys.len() > 50, "{told}");
            let none = |key: &&str| *key != "pip" && settings::by_name(Tool::Uv, key).is_none();
            missing.extend(keys.into_iter().filter(none).map(str::to_owned));
        }
        assert!(missing.is_empty(), "uv {} also has {missing:?}", uv.version());
    }
}

/// Law: a setting that decides where packages go, or whether any are installed, never gets through,
/// in any form.
#[test]
fn what_says_where_or_whether_never_comes_through() {
    for tool in [Tool::Pip, Tool::Uv] {
        let home = Home::new();
        let elsewhere = home.path("elsewhere").display().to_string();
        let (links, mut ambient) = (home.path("one"), home.ambient());
        let refused = settings::all(tool).iter().filter(|one| one.effect == Effect::Refused);
        let refused: Vec<_> = refused.filter(|setting| setting.is_option()).collect();
        assert!(refused.len() > 15);
        let value = |setting: &settings::Setting| match setting.value {
            settings::Value::Flag => "true".to_owned(),
            _ if setting.name == "python" => "/nowhere/python".to_owned(),
            _ => elsewhere.clone(),
        };
        match tool {
            Tool::Pip => {
                let line = |one: &&settings::Setting| format!("{} = {}", one.name, value(one));
                let lines = refused.iter().map(line).collect::<Vec<_>>().join("\n");
                home.write(".config/pip/pip.conf", &format!("[global]\n{lines}"));
                home.write("base/pip.conf", &format!("[install]\n{lines}"));
                home.write("named.conf", &format!("[:env:]\n{lines}"));
                ambient = ambient.with_variable("PIP_CONFIG_FILE", home.path("named.conf"));
                for one in &refused {
                    let name = one.name.to_uppercase().replace('-', "_");
                    ambient = ambient.with_variable(format!("PIP_{name}"), value(one));
                }
            }
            Tool::Uv => {
                let line = |one: &&&settings::Setting| match one.value {
                    settings::Value::Flag => format!("{} = true\n", one.name),
                    _ => format!("{} = \"{}\"\n", one.name, value(one)),
                };
                let lines: String = refused.iter().map(|one| line(&one)).collect();
                home.write(".config/uv/uv.toml", &format!("{lines}[pip]\n{lines}"));
                for name in refused
                    .iter()
                    .flat_map(|one| one.variables.iter().map(move |&name| (name, one)))
                {
                    ambient = ambient.with_variable(name.0, value(name.1));
                }
                ambient = ambient.with_variable("UV_LINK_MODE", "symlink");
            }
        }
        let mut wanted = alpha(tool, &["--no-index"]);
        wanted.tool_options.push(format!("--find-links={}", links.display()));
        let environment = Environment::bare();
        let settings = home.install(&wanted, &ambient, &environment).unwrap();
        assert_eq!(environment.version_of("alpha"), "1.0", "{tool}");
        let site = environment.eval("__import__('alpha').__file__");
        assert!(!fs::symlink_metadata(site).unwrap().is_symlink(), "{tool}");
        assert!(fs::read_dir(&elsewhere).unwrap().next().is_none(), "{tool}");
        for name in ["target", "prefix", "python"] {
            let told = settings.told().iter().any(|told| told.contains(&format!("{name}` in ")));
            assert!(told, "{tool} {name}: {:#?}", settings.told());
        }
        let plain = home.read(&wanted, &Home::new().ambient());
        assert_eq!(settings.identity(), plain.identity(), "what is not in force does not count");
    }
}

/// Law: settings that are in force are in the key, by the contents of the files that they name.
#[test]
fn files_of_every_level_are_in_force_and_count_by_what_they_name() {
    let home = Home::new();
    for tool in [Tool::Pip, Tool::Uv] {
        let wanted = alpha(tool, &["--no-index"]);
        let levels: &[&str] = match tool {
            Tool::Pip => &["system/pip/pip.conf", ".config/pip/pip.conf", "base/pip.conf", "named"],
            Tool::Uv => &["system/uv/uv.toml", ".config/uv/uv.toml", "named"],
        };
        for &level in levels {
            let file = home.path(level);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            let say = |links: &str, more: &str| {
                let links = home.path(links);
                home.write(
                    level,
                    &match tool {
                        Tool::Pip => format!("[global]\nfind-links = {}\n{more}", links.display()),
                        Tool::Uv => format!("find-links = ['{}']\n{more}", links.display()),
                    },
                );
            };
            let mut ambient = home.ambient();
            if level == "named" {
                let name = format!("{}_CONFIG_FILE", tool.as_str().to_uppercase());
                ambient = ambient.with_variable(name, &file);
            }
            let identity = || home.read(&wanted, &ambient).identity();
            say("one", "");
            let one = identity();
            say("one", "# a comment\n");
            assert_eq!(identity(), one, "a comment in {level}");
            say("two", "");
            assert_ne!(identity(), one, "other links in {level}");
            assert_eq!(home.version(&wanted, &ambient), "2.0", "{level}");
            fs::remove_file(&file).unwrap();
        }
    }
}

#[test]
fn a_list_that_a_setting_names_counts_by_its_lines_and_by_those_that_it_includes() {
    let home = Home::new();
    wheel(&home.path("elsewhere"), "alpha", "1.0");
    wheel(&home.path("elsewhere"), "alpha", "2.0");
    for (tool, name) in [
        (Tool::Pip, "PIP_CONSTRAINT"),
        (Tool::Pip, "pip.conf"),
        (Tool::Uv, "UV_CONSTRAINT"),
        (Tool::Uv, "UV_OVERRIDE"),
        (Tool::Uv, "UV_EXCLUDE"),
    ] {
        let links = home.path("elsewhere");
        fs::remove_file(home.path(".config/pip/pip.conf")).ok();
        let mut wanted = alpha(tool, &["--no-index"]);
        wanted.tool_options.push(format!("--find-links={}", links.display()));
        let mut ambient = home.ambient();
        let list = home.path("list.txt");
        if name == "pip.conf" {
            let text = format!("[install]\nconstraint = {}\n", list.display());
            home.write(".config/pip/pip.conf", &text);
        } else {
            ambient = ambient.with_variable(name, &list);
        }
        let say = |text: &str| {
            let line = if name == "UV_EXCLUDE" { "beta" } else { text };
            home.write("included.txt", &format!("{line} # {text}\n"));
            home.write("list.txt", "-r included.txt\n");
            home.read(&wanted, &ambient).identity()
        };
        let one = say("alpha==1.0");
        assert_eq!(say("alpha==1.0"), one);
        if name != "UV_EXCLUDE" {
            assert_eq!(home.version(&wanted, &ambient), "1.0", "{name}");
        }
        assert_ne!(say("alpha==2.0"), one, "{name}");
    }
}

/// Law: settings that do not affect the installed packages are not in the key, and passwords are
/// not.
#[test]
fn only_what_decides_the_contents_counts() {
    let home = Home::new();
    for tool in [Tool::Pip, Tool::Uv] {
        let wanted = alpha(tool, &[]);
        let of = |variables: &[(&str, &str)]| {
            let ambient = variables
                .iter()
                .fold(home.ambient(), |ambient, (name, value)| ambient.with_variable(name, value));
            home.read(&wanted, &ambient).identity()
        };
        let none = of(&[]);
        for setting in settings::all(tool).iter().filter(|one| one.effect != Effect::Counts) {
            let pip = format!("PIP_{}", setting.name.to_uppercase().replace('-', "_"));
            let own =
                if tool == Tool::Pip { vec![pip.as_str()] } else { setting.variables.to_vec() };
            for name in own {
                assert_eq!(of(&[(name, "1")]), none, "{name}");
            }
        }
        for name in ["UV_INDEX_X_PASSWORD", "UV_HTTP_RETRIES", "PIP_NOT_KNOWN", "UV_MARK", "CC"] {
            assert_eq!(of(&[(name, "1")]), none, "{name}");
        }
        for (name, other) in [("PIP_PRE", "UV_PRERELEASE"), ("PIP_INDEX_URL", "UV_DEFAULT_INDEX")] {
            let name = if tool == Tool::Pip { name } else { other };
            assert_ne!(of(&[(name, "https://u:secret@h/simple")]), none, "{name}");
            assert_eq!(
                of(&[(name, "https://u:secret@h/simple")]),
                of(&[(name, "https://u:other@h/simple")]),
                "{name}"
            );
        }
        let off = if tool == Tool::Pip { "PIP_PRE" } else { "UV_NO_SOURCES" };
        assert_eq!(of(&[(off, "false")]), none, "what is off says nothing");
        assert_eq!(of(&[(off, "true")]), of(&[(off, "1")]), "{off}");
    }
}

#[test]
fn what_pip_is_told_for_all_packages_leaves_those_that_are_named() {
    let tree = source_tree("");
    let home = Home::new();
    let sdist = home.path("one/local-1.0.tar.gz");
    let transform = "s,^\\.,local-1.0,";
    duct::cmd!("tar", "-czf", &sdist, "-C", tree.path(), "--transform", transform, ".")
        .run()
        .unwrap();
    let links = format!("--find-links={}", home.path("one").display());
    let mut wanted = install(Tool::Pip, &["local"]);
    wanted.tool_options = vec!["--no-index".to_owned(), links.clone()];
    wanted.index.only_binary = vec![":all:".to_owned()];
    wanted.index.no_binary = vec!["local".to_owned()];
    let environment = Environment::bare();
    home.install(&wanted, &home.ambient(), &environment).unwrap();
    assert_eq!(environment.version_of("local"), "1.0");
    // The machine's settings, in pip's order of sections and files.
    wanted.index.only_binary.clear();
    wanted.index.no_binary.clear();
    home.write(
        ".config/pip/pip.conf",
        "[global]\nonly-binary = :all:\n[install]\nno-binary = local\n",
    );
    let environment = Environment::bare();
    home.install(&wanted, &home.ambient(), &environment).unwrap();
    assert_eq!(environment.version_of("local"), "1.0");
    home.write(
        ".config/pip/pip.conf",
        "[global]\nno-binary = local\n[install]\nonly-binary = :all:\n",
    );
    home.install(&wanted, &home.ambient(), &Environment::bare()).unwrap_err();
}

#[test]
fn what_is_not_understood_in_a_file_is_told_and_a_broken_file_is_named() {
    let home = Home::new();
    for (tool, file, odd, broken) in [
        (
            Tool::Pip,
            ".config/pip/pip.conf",
            "[global]\nindex-ulr = https://u:secret@h\n",
            "index-url = x\n",
        ),
        (
            Tool::Uv,
            ".config/uv/uv.toml",
            "index-ulr = 'https://u:secret@h'\n",
            "index-url = https://u:secret@h\n",
        ),
    ] {
        let wanted = alpha(tool, &[]);
        home.write(file, odd);
        let told = home.read(&wanted, &home.ambient()).told().join("\n");
        assert!(told.contains("index-ulr") && told.contains(file), "{told}");
        assert!(!told.contains("secret"), "{told}");
        home.write(file, broken);
        let error = Settings::read(&wanted, None, &home.ambient()).unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.contains(file) && !text.contains("secret"), "{text}");
        assert!(error.hint().is_some());
    }
}

/// Law: a credential reaches the tool alone, and no command line that other users can read.
#[test]
fn credentials_of_files_and_shortened_options_reach_no_command_line() {
    let home = Home::new();
    let notes = home.path("notes");
    // The build reads its parents' command lines.
    let tree = source_tree(&format!(
        "import os\npid, lines = os.getpid(), []\nwhile pid > 1:\n    \
         lines.append(open(f'/proc/{{pid}}/cmdline').read())\n    \
         pid = int(open(f'/proc/{{pid}}/stat').read().rsplit(')', 1)[1].split()[1])\n\
         open({notes:?}, 'w').write('\\n'.join(lines))"
    ));
    let index = "http://u:secret-1@127.0.0.1:9/a";
    home.write(
        ".config/pip/pip.conf",
        &format!("[global]\nextra-index-url = {index}\nproxy = http://u:secret-2@h:9\n"),
    );
    home.write(
        ".config/uv/uv.toml",
        &format!("extra-index-url = ['{index}']\nhttp-proxy = 'http://u:secret-2@h:9'\n"),
    );
    let other = "http://u:secret-3@127.0.0.1:9/b";
    for (tool, options) in [
        (Tool::Pip, &["--extra-index", other, "--prox=http://u:secret-4@h:9"][..]),
        (Tool::Uv, &["--index", other]),
    ] {
        let mut wanted = install(tool, &[&requirement_of(&tree)]);
        wanted.tool_options = options.iter().map(|&option| option.to_owned()).collect();
        let environment = Environment::bare();
        let settings = home.install(&wanted, &home.ambient(), &environment).unwrap();
        let seen = fs::read_to_string(&notes).unwrap();
        let program = if tool == Tool::Pip { "pip" } else { "uv" };
        assert!(seen.contains("install") && seen.contains(program), "{seen}");
        assert!(!seen.contains("secret-"), "{tool}: {seen}");
        let told = format!("{settings:?} {:?}", String::from_utf8_lossy(&settings.identity()));
        assert!(!told.contains("secret-"), "{tool}: {told}");
        fs::remove_file(&notes).unwrap();
    }
}

/// uv that asks nothing refuses every option that asks again. What lies in a folder is installed as it
/// is all the same, and not as it was when uv kept a copy of it.
#[test]
fn offline_a_folder_of_wheels_is_what_it_is_now() {
    let home = Home::new();
    let wheels = home.path("one");
    let write = |value: usize| {
        let script = "import sys, zipfile\nold = zipfile.ZipFile(sys.argv[1])\n\
            files = {it: old.read(it) for it in old.namelist()}\n\
            files['alpha.py'] = f'VALUE = {sys.argv[2]}'.encode()\n\
            with zipfile.ZipFile(sys.argv[1], 'w') as new:\n    \
            [new.writestr(it, files[it]) for it in files]\n";
        let wheel = wheels.join("alpha-1.0-py3-none-any.whl").display().to_string();
        duct::cmd("python3", ["-c", script, &wheel, &value.to_string()]).run().unwrap();
    };
    let folder = wheels.display().to_string();
    let of = |more: &[&str]| alpha(Tool::Uv, &[&["--find-links", &folder], more].concat());
    let ambient = home.ambient().with_variable("UV_CACHE_DIR", home.path("kept"));
    let has_file = || home.write(".config/uv/uv.toml", "offline = true\n");
    let offline = ambient.clone().with_variable("UV_OFFLINE", "1");
    let install = |value: usize, install: &Install, ambient: &Ambient, in_it: &Environment| {
        write(value);
        home.install(install, ambient, in_it).unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(in_it.eval("__import__('alpha').VALUE"), value.to_string());
    };
    install(1, &of(&["--no-index"]), &ambient, &Environment::bare());
    install(2, &of(&["--offline"]), &ambient, &Environment::bare());
    install(3, &of(&[]), &offline, &Environment::bare());
    has_file();
    let in_it = Environment::bare();
    install(4, &of(&[]), &ambient, &in_it);
    // What the environment has is installed again only where that is asked for.
    write(5);
    home.install(&of(&[]), &ambient, &in_it).unwrap();
    assert_eq!(in_it.eval("__import__('alpha').VALUE"), "4");
    install(6, &of(&["--reinstall"]), &ambient, &in_it);

    let python = in_it.python();
    for (options, ambient, is_fresh, words) in [
        (
            &["--refresh-package=alpha"][..],
            &offline,
            false,
            ["`--refresh-package`", "`UV_OFFLINE`"],
        ),
        (&["--offline", "--refresh"], &offline, false, ["`--refresh`", "`--offline`"]),
        (&["--refresh"], &ambient, false, ["`--refresh`", "`offline` in `uv.toml`"]),
        (&[], &offline, true, ["a refresh", "`UV_OFFLINE`"]),
    ] {
        let wanted = of(options);
        let settings = home.read(&wanted, ambient);
        let request = Request::new(&wanted, &python).with_settings(&settings);
        let request = if is_fresh { request.fresh() } else { request };
        let error = tool(Tool::Uv, &python, ambient).resolve(&request).unwrap_err();
        let [what, by] = words;
        let told = format!("{what} has indexes asked again, and {by} lets uv ask none");
        assert_eq!(error.to_string(), told);
    }
    // The last of the options wins.
    let wanted = of(&["--offline", "--no-offline", "--no-index", "--refresh-package=alpha"]);
    install(7, &wanted, &offline, &Environment::bare());
}
