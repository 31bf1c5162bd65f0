//! Environments without pipelines: three lines to one, built once and found ever after.
//!
//! Makes an environment with the packages that are named, over the Python at hand, and runs a program
//! in it.
//!
//! ```text
//! cargo run --release --example environments -- [REQUIREMENT ...]
//! ```

#![expect(clippy::print_stdout, reason = "a program that talks to people")]

use curator::backends::Provisioner;
use curator::{Report, RuntimeEnv};

fn main() -> Result<(), Report> {
    let mut packages: Vec<String> = std::env::args().skip(1).collect();
    if packages.is_empty() {
        packages.push("packaging==24.0".to_owned());
    }

    // All that decides what is in an environment is in its key: the requirements, the base, and the
    // settings of pip and uv on this machine, such as `UV_CONSTRAINT`.
    let provisioner = Provisioner::builder().open()?;
    let environment = provisioner.environment(&RuntimeEnv::uv(packages))?;

    // As long as `environment` lives, it is not evicted.
    let code = "import importlib.metadata as it; print(*sorted(d.name + '==' + d.version for d in \
                it.distributions()))";
    let command = environment.command("python".as_ref(), &["-c".into(), code.into()]);
    let seen = duct::cmd(command.program, command.arguments).full_env(command.vars).read()?;
    println!("{:?} {}", environment.state(), environment.python().display());
    println!("{seen}");
    Ok(())
}
