//! The places where the tools are found.

use envspec::Tool;

use crate::world::{Environment, pip, tools_dir, uv};

#[test]
fn the_bases_pip_is_used_where_it_has_one() {
    let environment = Environment::with_pip();
    let pip = pip(&environment.python());
    assert_eq!(pip.tool(), Tool::Pip);
    assert_eq!(pip.version(), environment.version_of("pip"));
    assert!(pip.program().starts_with(environment.root()));
}

#[test]
fn a_base_without_pip_gets_one_outside_of_it() {
    let environment = Environment::bare();
    let pip = pip(&environment.python());
    assert!(pip.program().starts_with(tools_dir()), "{}", pip.program().display());
}

#[test]
fn uv_is_fetched_where_there_is_none() {
    let environment = Environment::bare();
    let uv = uv(&environment.python());
    assert!(uv.program().starts_with(tools_dir()), "{}", uv.program().display());
}
