//! An index with a login that has the names of a public index: neither is taken for the other,
//! however the login is given, and no output shows the login.

use std::fs;
use std::path::PathBuf;

use backends::provision::Origin;
use backends::{Error, Plan, Provisioner, RunRecord};
use envspec::{RuntimeEnv, Tool};
use serde_json::{Value, json};
use stage::{BaseSpec, Pipeline};

use crate::index::Index;
use crate::private::{STAGE, Setting, execute};
use crate::support::python;

/// The beginning of every password here.
const MARK: &str = "hush-4821-";

/// How a login is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Login {
    Url,
    Variable,
    Netrc,
    None,
}

/// The public index of the setting, and one with the same names that needs a login.
struct Indexes {
    setting: Setting,
    private: Index,
}

impl Indexes {
    fn new() -> Self {
        let setting = Setting::new();
        setting.archive("secret", &[]);
        let private = Index::start(&setting.world.root.join("own"), MARK, "0");
        let netrc = format!("machine 127.0.0.1\nlogin me\npassword {MARK}netrc\n");
        fs::write(setting.world.root.join("netrc"), netrc).expect("a file");
        Self { setting, private }
    }

    /// Returns a plan for `secret` from an index: the private one with this login, or the public
    /// one.
    fn plan(&self, tool: Tool, login: Option<(Login, &str)>) -> Plan {
        let (option, variable) = match tool {
            Tool::Pip => ("pip_install_options", "PIP_INDEX_URL"),
            Tool::Uv => ("uv_pip_install_options", "UV_DEFAULT_INDEX"),
        };
        let url = login.map_or(self.setting.index.url(), |_| self.private.url());
        let with_login = |password: &str| url.replace("://", &format!("://me:{MARK}{password}@"));
        let packages = |options: &[&str]| json!({ "packages": ["secret"], option: options });
        let spec = match login {
            Some((Login::Url, password)) => {
                json!({ tool.as_str(): packages(&["--index-url", &with_login(password)]) })
            }
            Some((Login::Variable, password)) => json!({
                tool.as_str(): packages(&[]),
                "env_vars": { variable: with_login(password) },
            }),
            Some((Login::Netrc, _)) => json!({
                tool.as_str(): packages(&["--index-url", &url]),
                "env_vars": { "NETRC": self.setting.world.root.join("netrc") },
                "config": { "build_env": ["NETRC"] },
            }),
            Some((Login::None, _)) | None => {
                json!({ tool.as_str(): packages(&["--index-url", &url]) })
            }
        };
        let env = RuntimeEnv::from_json(&spec.to_string()).expect("a spec");
        let base = BaseSpec::Python(self.setting.world.base_python());
        let pipeline = Pipeline::new("private").with_base(base);
        Plan::new(&pipeline.with_stage(python(STAGE).with_runtime_env(env))).expect("a plan")
    }

    /// Runs a plan in the cache of this name, and returns the module's owner and the record.
    fn run(&self, plan: &Plan, cache: &str) -> Result<(String, RunRecord), Error> {
        let cache = self.cache(cache);
        let (report, whose) = execute(plan, &cache)?;
        let provisioner = Provisioner::builder().base_of(plan).cache_dir(&*cache).open()?;
        assert!(!serde_json::to_string(&report).expect("JSON").contains(MARK));
        Ok((whose, RunRecord::new(plan, &provisioner, &report)?))
    }

    /// Replays a record of this plan, and returns the module's owner.
    fn replay(&self, record: &RunRecord, plan: &Plan, cache: &str) -> Result<String, Error> {
        let plan = record.lock(plan, Some(&self.cache(cache)))?;
        Ok(execute(&plan, &self.cache(cache))?.1)
    }

    fn cache(&self, name: &str) -> PathBuf {
        match name {
            "" => self.setting.world.cache(),
            name => self.setting.cache(name),
        }
    }
}

/// Checks that the module is not that of the other index, whether the answer is a module or an
/// error. An error does not show a password.
fn is_not(whose: &str, answer: Result<String, Error>, context: &str) {
    match answer {
        Ok(found) => assert_ne!(found, format!("secret {whose}"), "{context}"),
        Err(error) => assert!(!error.report().contains(MARK), "{context}: {}", error.report()),
    }
}

#[test]
fn neither_index_is_taken_for_the_other() {
    let indexes = Indexes::new();
    let logins = [Login::Url, Login::Variable, Login::Netrc];
    for (place, tool) in [Tool::Uv, Tool::Pip].into_iter().enumerate() {
        let public = indexes.plan(tool, None);
        let (whose, of_public) = indexes.run(&public, "").expect("a run");
        assert_eq!(whose, "secret public", "{tool}");
        for (number, login) in logins.into_iter().enumerate() {
            // One tool for each way, unless everything is requested.
            if number % 2 != place && std::env::var_os("CURATOR_TEST_ALL").is_none() {
                continue;
            }
            let context = format!("{tool} {login:?}");
            let private = indexes.plan(tool, Some((login, "one")));
            let (whose, record) = match indexes.run(&private, "") {
                Ok(found) => found,
                Err(error) => panic!("{context}: {}", error.report()),
            };
            assert_eq!(whose, "secret private", "{context}");
            // The details show where the package came from, and no password.
            let provisioner = Provisioner::builder()
                .base_of(&private)
                .cache_dir(&*indexes.cache(""))
                .open()
                .expect("a provisioner");
            let env = private.stages()[0].env().expect("a spec");
            let details = provisioner.prepare(env, stage::Isolation::Shared).unwrap();
            let why = details.details().unwrap().why("secret").expect("it is there");
            assert_eq!(why.origin, Origin::Added, "{context}");
            let told: Value = json!([why, record, details.details()]);
            assert!(!told.to_string().contains(MARK), "{context}: {told}");
            // Replays with another password, with none, and over the other index.
            let empty = |what: &str| format!("{tool}{number}{what}");
            let again = indexes.plan(tool, Some((login, "two")));
            let key = |plan: &Plan| {
                let env = plan.stages()[0].env().expect("a spec").clone();
                provisioner.key(&env, stage::Isolation::Shared).unwrap()
            };
            assert_eq!(key(&private), key(&again), "{context}");
            assert_ne!(key(&private), key(&public), "{context}");
            let found = indexes.replay(&record, &again, &empty("again"));
            let found = found.unwrap_or_else(|error| panic!("{context}: {}", error.report()));
            assert_eq!(found, "secret private", "{context}");
            let without = indexes.plan(tool, Some((Login::None, "")));
            is_not("public", indexes.replay(&record, &without, &empty("without")), &context);
            is_not("public", indexes.replay(&record, &public, &empty("public")), &context);
            is_not("private", indexes.replay(&of_public, &private, &empty("private")), &context);
        }
        let (_, whose) = execute(&public, &indexes.cache("")).expect("a run");
        assert_eq!(whose, "secret public", "{tool}");
    }
    for entry in walkdir::WalkDir::new(&indexes.setting.world.root).into_iter().flatten() {
        let text = fs::read(entry.path()).unwrap_or_default();
        let is_told = text.windows(MARK.len()).any(|part| part == MARK.as_bytes());
        assert!(!is_told || entry.file_name() == "netrc", "{}", entry.path().display());
    }
}
