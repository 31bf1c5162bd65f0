//! The key of an environment: everything that decides its contents.

use envspec::Install;
use installer::Settings;
use stage::Isolation;
use venv_cache::{Base, Interpreter, Key, Strategy};

/// Returns the key of an environment over a base: a digest over everything that decides its
/// contents.
///
/// [`Provisioner::key`](super::Provisioner::key) returns it for a spec. A program that stores
/// environments in its own way must use this key, too. A key without, say, the settings that are in
/// force would find the environment under other settings, with packages that these forbid.
///
/// A strategy is part of the key only if one was requested, so that probing file systems does not
/// change keys.
#[must_use]
pub fn environment_key(
    base: &Base,
    install: &Install,
    isolation: Isolation,
    strategy: Option<Strategy>,
    settings: &Settings,
) -> Key {
    let interpreter = interpreter_identity(base.interpreter());
    let prefix = base.interpreter().prefix().to_string_lossy().into_owned();
    let isolation: &[u8] = match isolation {
        Isolation::Shared => b"shared",
        Isolation::Full => b"full",
    };
    let digest = install.digest();
    let settings = settings.identity();
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("base", prefix.as_bytes()),
        ("fingerprint", base.fingerprint().as_bytes()),
        ("interpreter", interpreter.as_bytes()),
        ("install", digest.as_bytes()),
        ("isolation", isolation),
        ("settings", &settings),
    ];
    let strategy = strategy.map(|strategy| strategy.to_string());
    if let Some(strategy) = &strategy {
        parts.push(("strategy", strategy.as_bytes()));
    }
    Key::derive("curator/environment/v1", &parts)
}

/// Returns the key of a managed base.
pub(crate) fn managed_base(
    interpreter: &Interpreter,
    install: &Install,
    settings: &Settings,
) -> Key {
    let identity = interpreter_identity(interpreter);
    Key::derive(
        "curator/base/v1",
        &[
            ("interpreter", identity.as_bytes()),
            ("install", install.digest().as_bytes()),
            ("settings", &settings.identity()),
        ],
    )
}

/// Returns the interpreter, its build, and its platform.
pub(crate) fn interpreter_identity(interpreter: &Interpreter) -> String {
    let libc = interpreter.libc().map(ToString::to_string).unwrap_or_default();
    [
        interpreter.base_executable().to_string_lossy().as_ref(),
        interpreter.implementation(),
        interpreter.version(),
        interpreter.soabi().unwrap_or_default(),
        interpreter.platform(),
        &libc,
    ]
    .join("\n")
}
