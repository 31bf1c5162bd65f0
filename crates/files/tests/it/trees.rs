//! Trees with every kind of file, and files outside of them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

/// One entry of a tree.
#[derive(Clone, Debug)]
pub(crate) enum Thing {
    File,
    /// Another name of a file outside.
    HardLink,
    /// To the victim, a folder in it, a file in it, the folder above, or nothing.
    Link(u8),
    Socket,
    Pipe,
    Device,
    Folder {
        mode: u32,
        things: Vec<Thing>,
    },
}

pub(crate) fn trees() -> impl Strategy<Value = Thing> {
    let leaf = prop_oneof![
        Just(Thing::File),
        Just(Thing::HardLink),
        (0..5_u8).prop_map(Thing::Link),
        Just(Thing::Socket),
        Just(Thing::Pipe),
        Just(Thing::Device),
    ];
    let mode = prop_oneof![Just(0o755), Just(0o700), Just(0o500), Just(0o300), Just(0o000)];
    leaf.prop_recursive(6, 60, 8, move |inner| {
        (mode.clone(), prop::collection::vec(inner, 0..8))
            .prop_map(|(mode, things)| Thing::Folder { mode, things })
    })
}

/// Makes it at this path. Devices that this user may not make are pipes.
pub(crate) fn make(thing: &Thing, path: &Path, victim: &Path) {
    match thing {
        Thing::File => fs::write(path, "content").expect("made"),
        Thing::HardLink => fs::hard_link(victim.join("file"), path).expect("made"),
        Thing::Link(to) => {
            let targets = [victim, &victim.join("folder"), &victim.join("file")];
            let target = targets.get(usize::from(*to)).copied();
            let other = Path::new(if *to == 3 { ".." } else { "nowhere" });
            symlink(target.unwrap_or(other), path).expect("made");
        }
        Thing::Socket => {
            // The kernel takes short paths only.
            if UnixListener::bind(path).is_err() {
                make(&Thing::Pipe, path, victim);
            }
        }
        Thing::Pipe => mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("made"),
        Thing::Device => {
            let null = makedev(1, 3);
            if mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, null).is_err() {
                make(&Thing::Pipe, path, victim);
            }
        }
        Thing::Folder { mode, things } => {
            fs::create_dir(path).expect("made");
            for (number, thing) in things.iter().enumerate() {
                make(thing, &path.join(number.to_string()), victim);
            }
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).expect("made");
        }
    }
}

/// A folder that must stay untouched, with a file, and a folder with files in it.
pub(crate) fn make_victim(path: &Path) {
    fs::create_dir_all(path.join("folder/deeper")).expect("made");
    for name in ["file", "folder/file", "folder/deeper/file"] {
        fs::write(path.join(name), name).expect("made");
    }
    symlink("folder", path.join("link")).expect("made");
}

/// Returns the entries of a tree: kinds, modes, times and contents.
pub(crate) fn look(path: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let metadata = fs::symlink_metadata(path).expect("made");
    let kind = metadata.file_type();
    let content = if kind.is_file() {
        fs::read_to_string(path).expect("made")
    } else if kind.is_symlink() {
        fs::read_link(path).expect("made").display().to_string()
    } else {
        format!("socket {} pipe {}", kind.is_socket(), kind.is_fifo())
    };
    // The tree's deletion may change a file's number of names and its change time.
    let (mode, modified) = (metadata.mode(), (metadata.mtime(), metadata.mtime_nsec()));
    seen.insert(path.to_owned(), format!("{mode:o} {modified:?} {content}"));
    if kind.is_dir() {
        for entry in fs::read_dir(path).expect("made") {
            seen.extend(look(&entry.expect("made").path()));
        }
    }
    seen
}
