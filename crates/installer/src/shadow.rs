//! A stand-in for a virtualenv that a tool may look at but not touch.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use files::Scratch;

use crate::error::{Error, IoResultExt};

/// A temporary virtualenv with the real one's packages and a root folder of its own.
#[derive(Debug)]
pub(crate) struct Shadow {
    root: Scratch,
    program: PathBuf,
}

impl Shadow {
    pub(crate) fn python(&self) -> PathBuf {
        self.root.path().join("bin").join(&self.program)
    }
}

/// Makes the shadow of the virtualenv that an interpreter belongs to; `None` if it belongs to none.
pub(crate) fn of_virtualenv(python: &Path) -> Result<Option<Shadow>, Error> {
    let (Some(bin), Some(program)) = (python.parent(), python.file_name()) else { return Ok(None) };
    let Some(prefix) = bin.parent() else { return Ok(None) };
    let settings = match files::read_regular(&prefix.join("pyvenv.cfg")) {
        Ok(settings) => settings,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error).context("read", prefix.join("pyvenv.cfg")),
    };
    let root = Scratch::new("installer-").context("make a folder in", std::env::temp_dir())?;
    let link = |from: PathBuf, to: PathBuf| symlink(&from, &to).context("link", to);
    fs::write(root.path().join("pyvenv.cfg"), settings).context("write", root.path())?;
    fs::create_dir(root.path().join("bin")).context("make", root.path().join("bin"))?;
    link(python.to_owned(), root.path().join("bin").join(program))?;
    link(prefix.join("lib"), root.path().join("lib"))?;
    link("lib".into(), root.path().join("lib64"))?;
    Ok(Some(Shadow { root, program: program.into() }))
}
