//! Where a run writes: tried before it does any work, and without a trace.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use files::{Access, Untrusted};
use rustix::fs::Access as Right;

use crate::failure::Failure;
use crate::streams::{self, MOST_LINKS};

/// Formats that a name may promise, and that nothing here writes or reads.
const TABLES: [&str; 17] = [
    "parquet", "pq", "csv", "tsv", "feather", "ipc", "arrows", "orc", "avro", "xlsx", "xls", "h5",
    "hdf5", "npy", "npz", "sqlite", "db",
];
const COMPRESSED: [&str; 10] = ["gz", "bz2", "xz", "zst", "zstd", "lz4", "br", "zip", "tgz", "tar"];
const TEXTS: [&str; 9] = ["html", "htm", "xml", "yaml", "yml", "toml", "md", "pdf", "py"];
const OTHERS: [&str; 5] = ["pkl", "pickle", "pt", "msgpack", "pb"];

/// Returns the end of a name, in lower case.
pub(super) fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// Refuses a name that promises another format than JSON lines or, where that is possible, Arrow
/// tables. A name with an end that promises nothing is one of JSON lines.
pub(super) fn check_format(option: &str, path: &Path, is_input: bool) -> Result<(), Failure> {
    let Some(extension) = extension(path) else { return Ok(()) };
    let is_in = |formats: &[&str]| formats.contains(&&*extension);
    let has_tables = cfg!(feature = "arrow") && option != "--failed";
    let formats = if has_tables { "JSON lines and `.arrow`" } else { "JSON lines" };
    let shown = path.display();
    let hint = if is_in(&COMPRESSED) && is_input {
        format!("decompress it on the way: `zcat {shown} | curator run ... --input -`")
    } else if is_in(&COMPRESSED) {
        format!("compress it on the way: `curator run ... --output - | gzip > {shown}`")
    } else if is_in(&TABLES) && is_input {
        "turn it into JSON lines or an Arrow file first, or let the first stage read it".to_owned()
    } else if is_in(&TABLES) || is_in(&TEXTS) || is_in(&OTHERS) {
        "name it `.jsonl`, or `.arrow` where the results are tables; or let the last stage write it"
            .to_owned()
    } else if extension == "arrow" && option == "--failed" {
        "name it `.jsonl`: a failed task is written with its causes".to_owned()
    } else {
        return Ok(());
    };
    let verb = if is_input { "read" } else { "written" };
    let problem = format!(
        "{option} `{shown}` is to be {verb} as `.{extension}`, and there are only {formats}\n\nhint: \
         {hint}"
    );
    Err(Failure::usage(&problem))
}

/// Refuses a file that could not be written.
pub(super) fn check_file(option: &str, path: &Path) -> Result<(), Failure> {
    try_file(path, 0).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => "\n\nhint: make its folder first, or name another",
            _ => "",
        };
        Failure::usage(&format!("cannot write {option} `{}`: {error}{hint}", path.display()))
    })
}

/// Refuses to write to a standard output that is closed.
pub(super) fn check_stdout() -> Result<(), Failure> {
    streams::check_stdout().map_err(|error| {
        Failure::usage(&format!(
            "cannot write the results: {error}\n\nhint: name a file with `--output`, which may be \
             `/dev/null`"
        ))
    })
}

/// Refuses a folder that could not be made, or written into.
pub(super) fn check_folder(option: &str, path: &Path, files: &[&str]) -> Result<(), Failure> {
    let tried = try_folder(path).and_then(|()| {
        let files = files.iter().map(|name| path.join(name));
        files.filter(|file| file.exists()).try_for_each(|file| try_file(&file, 0))
    });
    // Later runs trust what they find there.
    tried.and_then(|()| Access::check_above(path)).map_err(|error| {
        let hint = Untrusted::of(&error).and_then(Untrusted::hint);
        let hint = hint.map(|hint| format!("\n\nhint: {hint}")).unwrap_or_default();
        Failure::usage(&format!("cannot write {option} `{}`: {error}{hint}", path.display()))
    })
}

fn try_file(path: &Path, links: usize) -> io::Result<()> {
    streams::check_path(path)?;
    let is_named_as_folder = path.as_os_str().as_encoded_bytes().ends_with(b"/");
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(ErrorKind::IsADirectory.into()),
        // Opened for more, it stays as it is.
        Ok(metadata) if metadata.is_file() => File::options().append(true).open(path).map(drop),
        // A pipe might block, and a device may do anything.
        Ok(_) => Ok(rustix::fs::access(path, Right::WRITE_OK)?),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Ok(target) = fs::read_link(path) {
                if links == MOST_LINKS {
                    return Err(error);
                }
                return try_file(&parent(path).join(target), links + 1);
            }
            if is_named_as_folder || path.file_name().is_none() {
                return Err(ErrorKind::IsADirectory.into());
            }
            let folder = parent(path);
            if !fs::metadata(&folder)?.is_dir() {
                return Err(ErrorKind::NotADirectory.into());
            }
            Ok(rustix::fs::access(&folder, Right::WRITE_OK | Right::EXEC_OK)?)
        }
        Err(error) => Err(error),
    }
}

fn try_folder(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {
            Ok(rustix::fs::access(path, Right::WRITE_OK | Right::EXEC_OK)?)
        }
        Ok(_) => Err(ErrorKind::NotADirectory.into()),
        // It is made, with the folders that lead to it.
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
            let above = parent(path);
            if above == path { Err(error) } else { try_folder(&above) }
        }
        Err(error) => Err(error),
    }
}

/// Returns the folder that a path lies in.
pub(super) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}
