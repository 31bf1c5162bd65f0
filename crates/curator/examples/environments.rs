//! Cached environments without pipelines: the crates `venv-cache` and `installer` alone.
//!
//! Makes an environment with one package over the Python at hand, once, and runs a program in it.
//!
//! ```text
//! cargo run --release --example environments
//! ```

#![expect(clippy::print_stdout, reason = "a program that talks to people")]

use curator::envspec::{Install, Tool};
use curator::installer::{Deadline, Request, Tools};
use curator::venv_cache::{
    Base, BoxError, BuildOptions, Built, Cache, Isolation, Key, Site, Strategy, create,
};

fn main() -> Result<(), BoxError> {
    let cache = Cache::from_env()?;
    let tools = Tools::new(cache.tools_dir());
    let base = Base::discover(Some(&cache.interpreters_dir()))?;
    let install = Install::new(Tool::Uv, vec!["packaging==24.0".parse()?]);

    // All that decides what is in the environment must be part of its key.
    let install_digest = install.digest();
    let parts: [(&str, &[u8]); 2] =
        [("base", base.fingerprint().as_bytes()), ("install", install_digest.as_bytes())];
    let key = Key::derive("examples/environments/v1", &parts);

    let build = |site: &Site<'_>| -> Result<Built, BoxError> {
        let choice = Strategy::probe(&base, site.dir(), Isolation::Shared)?;
        let created = create(&base, site.dir(), choice.strategy)?;
        let uv = tools.locate(install.tool, None, base.python(), Deadline::NEVER)?;
        let outcome = uv.install(&Request::new(&install, &created.python))?;
        let added: Vec<String> = outcome.added.iter().map(ToString::to_string).collect();
        println!(
            "installed {} by uv {} over {} files",
            added.join(", "),
            uv.version(),
            created.files
        );
        Ok(Built::new(created.python).with_strategy(choice.strategy.to_string()))
    };
    let env = cache.get_or_build(&key, &BuildOptions::default(), build)?;

    // While `env` lives nobody evicts the environment.
    let code = "import packaging; print(packaging.__version__, packaging.__file__)";
    let printed = duct::cmd(env.python(), ["-c", code]).read()?;
    println!("{:?} {}\n{printed}", env.state(), env.dir().display());
    Ok(())
}
