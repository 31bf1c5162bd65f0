//! Sources of the files that a spec refers to.

use std::io;
use std::path::{Path, PathBuf};

/// Reads the files that a spec refers to, so that this crate touches none itself.
///
/// A closure that reads one file is a `Source` that cannot list folders. Paths are absolute, and
/// free of `.` and `..`.
///
/// ```
/// use std::io;
/// use std::path::Path;
///
/// use envspec::RuntimeEnv;
///
/// # fn main() -> Result<(), envspec::Error> {
/// let source = |path: &Path| match path.to_str() {
///     Some("/project/requirements.txt") => Ok(b"packaging==24.0".to_vec()),
///     _ => Err(io::Error::from(io::ErrorKind::NotFound)),
/// };
/// let spec = RuntimeEnv::from_json(r#"{ "uv": "requirements.txt" }"#)?;
/// let install = spec.load(&source, Path::new("/project"))?.install.expect("the file asks for one");
/// assert_eq!(install.requirements[0].to_string(), "packaging==24.0");
/// # Ok(())
/// # }
/// ```
pub trait Source {
    /// Returns the contents of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Returns the contents of a list of requirements. A source may refuse a file that is larger
    /// than any list that people write. Default: [`Source::read`].
    fn read_text(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read(path)
    }

    /// Returns every file at any depth below a folder, sorted, each as an absolute path.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Returns the folder with links in its path resolved, from which `..` leads on. Default: the
    /// path itself, for sources without links.
    fn real_dir(&self, dir: &Path) -> io::Result<PathBuf> {
        Ok(dir.to_owned())
    }
}

const _: Option<&dyn Source> = None; // stays object-safe, or does not compile

impl<F: Fn(&Path) -> io::Result<Vec<u8>>> Source for F {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self(path)
    }

    fn list(&self, _dir: &Path) -> io::Result<Vec<PathBuf>> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}
