//! The record by which an environment exists.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};

use files::{Access, Untrusted};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Key;

/// The newest format that this code writes, and the only one that it reads.
///
/// A field may be added under the same number if its absence has a meaning (`serde(default)`);
/// readers pass over fields they do not know. Anything else needs the next number.
const FORMAT: u32 = 1;

/// Maximum size of a manifest; a longer one is not ours.
const MAX_BYTES: u64 = 64 << 20;

/// The record of an environment in its `manifest.json`, written when it was complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Manifest {
    /// The version of this record's form.
    pub format: u32,
    /// The environment's key.
    pub key: Key,
    /// Identifies this build, also among builds of the same key.
    pub build: String,
    /// The folder that it was built in, which its scripts name; `None` if that is no UTF-8.
    #[serde(default)]
    pub place: Option<String>,
    /// The interpreter, relative to the environment's folder.
    pub python: String,
    /// The strategy by which the environment adds to its base, in the builder's words.
    pub strategy: String,
    /// The base of the environment; `None` for one made from a bare interpreter.
    #[serde(default)]
    pub base: Option<BaseRecord>,
    /// The environments that this one needs: its managed base.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// When the build was complete, in seconds since 1970.
    pub created: u64,
    /// The boot of the machine under which the sizes were last verified; `None` if the system does
    /// not identify boots.
    #[serde(default)]
    pub boot: Option<String>,
    /// Other boots under which they were verified, on machines that share the cache.
    #[serde(default)]
    pub other_boots: Vec<String>,
    /// The duration of the closure that built the environment, in milliseconds.
    pub build_millis: u64,
    /// Files and links in the environment, its folders aside.
    pub files: u64,
    /// The sum of their lengths.
    pub bytes: u64,
    /// The number of files and links that share their contents with nothing outside the
    /// environment.
    pub own_files: u64,
    /// Their size on disk with the folders, in bytes: removing the environment frees this much.
    pub own_bytes: u64,
    /// Details from the builder, for later. They must hold no secret: they are stored unchanged.
    #[serde(default)]
    pub details: Value,
}

/// The base of an environment, in its [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BaseRecord {
    /// The base's interpreter, for people to read.
    pub python: String,
    /// The base's fingerprint when the environment was built.
    pub fingerprint: String,
    /// The base's key, if it is an environment of the same cache.
    #[serde(default)]
    pub key: Option<Key>,
}

impl BaseRecord {
    /// Describes a base outside the cache.
    #[must_use]
    pub fn new(python: &Path, fingerprint: impl Into<String>) -> Self {
        Self {
            python: python.to_string_lossy().into_owned(),
            fingerprint: fingerprint.into(),
            key: None,
        }
    }

    /// Marks the base as an environment of the same cache. Default: it is not.
    #[must_use]
    pub fn with_key(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }
}

/// An environment that another one needs, in a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Need {
    /// Its key.
    pub key: Key,
    /// Its build. A rebuild under the same key may have other files, which the dependent
    /// environment's links do not match.
    pub build: String,
}

/// Maximum number of machines that share a cache and still verify files only once per boot.
const MOST_BOOTS: usize = 32;

/// Why a manifest cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is damaged, cut short, or belongs to another environment.
    Corrupt,
    /// A newer version of this crate wrote it.
    Newer,
}

/// The one field that every format has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

impl Manifest {
    pub(crate) const FORMAT: u32 = FORMAT;

    /// Returns whether the environment lies where it was built, by whatever path. One that was moved
    /// or copied does not: its scripts would start the interpreter of another place.
    pub(crate) fn is_of(&self, dir: &Path) -> bool {
        let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
        self.place.as_deref().map(Path::new).is_none_or(|place| {
            place == dir || matches!((identity(place), identity(dir)), (Ok(a), Ok(b)) if a == b)
        })
    }

    /// Returns whether the sizes were verified under this boot.
    pub(crate) fn is_checked_under(&self, boot: Option<&str>) -> bool {
        let is_other = |boot| self.other_boots.iter().any(|other| other == boot);
        self.boot.as_deref() == boot || boot.is_some_and(is_other)
    }

    /// Returns a copy that records the sizes as verified under this boot. It keeps earlier boots,
    /// latest first, since machines that share a cache take turns.
    pub(crate) fn checked_under(mut self, boot: Option<&str>) -> Self {
        self.other_boots.splice(0..0, self.boot.take());
        self.other_boots.truncate(MOST_BOOTS);
        self.boot = boot.map(str::to_owned);
        self
    }

    /// Reads the manifest of the environment with this key.
    pub(crate) fn parse(bytes: &[u8], key: &Key) -> Result<Self, Fault> {
        let Ok(manifest) = serde_json::from_slice::<Self>(bytes) else {
            // A newer one may have other fields, but it says that it is newer.
            let version = serde_json::from_slice::<Version>(bytes);
            let newer = version.is_ok_and(|version| version.format > FORMAT);
            return Err(if newer { Fault::Newer } else { Fault::Corrupt });
        };
        if manifest.format > FORMAT {
            return Err(Fault::Newer);
        }
        let sound = manifest.format == FORMAT
            && manifest.key == *key
            && manifest.needs.iter().all(|need| need.key != *key)
            && stays_inside(Path::new(&manifest.python));
        if sound { Ok(manifest) } else { Err(Fault::Corrupt) }
    }

    /// Reads the file; `None` if it does not exist.
    pub(crate) fn read(
        path: &Path,
        key: &Key,
        access: Access,
    ) -> io::Result<Option<Result<Self, Fault>>> {
        match access.read(path, MAX_BYTES) {
            Ok(bytes) => Ok(Some(Self::parse(&bytes, key))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // A folder, link or pipe in the manifest's place is damage like any other.
            Err(error)
                if error.kind() == io::ErrorKind::FileTooLarge
                    || matches!(Untrusted::of(&error), Some(Untrusted::NoFile { .. })) =>
            {
                Ok(Some(Err(Fault::Corrupt)))
            }
            Err(error) => Err(error),
        }
    }

    pub(crate) fn to_bytes(&self) -> io::Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// Returns whether a relative path stays below its folder.
pub(crate) fn stays_inside(path: &Path) -> bool {
    path.components().next().is_some()
        && path.components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn key() -> Key {
        Key::from_bytes([7; 32])
    }

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            key: key(),
            build: "b".to_owned(),
            place: Some("/cache/envs-v1/key".to_owned()),
            python: "bin/python".to_owned(),
            strategy: "hardlink".to_owned(),
            base: Some(BaseRecord::new(Path::new("/base/bin/python"), "f").with_key(key())),
            needs: vec![Need { key: Key::from_bytes([9; 32]), build: "n".to_owned() }],
            created: 1,
            boot: Some("boot".to_owned()),
            other_boots: vec!["other".to_owned()],
            build_millis: 250,
            files: 2,
            bytes: 3,
            own_files: 4,
            own_bytes: 5,
            details: json!({"resolved": ["packaging==24.0"]}),
        }
    }

    #[test]
    fn a_field_of_a_later_version_is_passed_over_and_a_missing_optional_one_is_empty() {
        let mut value = serde_json::to_value(manifest()).unwrap();
        let fields = value.as_object_mut().unwrap();
        fields.insert("colour".to_owned(), json!("blue"));
        for optional in ["base", "needs", "boot", "other_boots", "details", "place"] {
            fields.remove(optional);
        }
        let parsed = Manifest::parse(value.to_string().as_bytes(), &key()).unwrap();
        assert_eq!((parsed.base, parsed.needs, parsed.boot), (None, vec![], None));
        assert_eq!(parsed.place, None);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let newer = br#"{"format": 2, "anything": {}}"#;
        assert_eq!(Manifest::parse(newer, &key()), Err(Fault::Newer));
        let like_ours = Manifest { format: 2, ..manifest() }.to_bytes().unwrap();
        assert_eq!(Manifest::parse(&like_ours, &key()), Err(Fault::Newer));
        assert_eq!(Manifest::parse(br#"{"format": 0}"#, &key()), Err(Fault::Corrupt));
    }

    #[test]
    fn a_manifest_that_leads_elsewhere_is_damage() {
        for python in ["/bin/python", "../python", "", "bin/../../python"] {
            let bytes = Manifest { python: python.to_owned(), ..manifest() }.to_bytes().unwrap();
            assert_eq!(Manifest::parse(&bytes, &key()), Err(Fault::Corrupt), "{python}");
        }
        let other = Key::from_bytes([8; 32]);
        let bytes = manifest().to_bytes().unwrap();
        assert_eq!(Manifest::parse(&bytes, &other), Err(Fault::Corrupt));
    }

    proptest! {
        // Whatever the bytes are, reading them gives a manifest or a fault, never a panic; and a
        // manifest that lost its end, or in which a byte was overwritten, is the same one or none.
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            prop_assert!(Manifest::parse(&bytes, &key()).is_err());
        }

        #[test]
        fn a_truncated_manifest_is_none(cut in 0.0..1.0) {
            let bytes = manifest().to_bytes().unwrap();
            // The closing brace stands before the final line break.
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss,
                     clippy::cast_precision_loss, reason = "a position in a short text")]
            let end = ((bytes.len() - 1) as f64 * cut) as usize;
            prop_assert_eq!(Manifest::parse(&bytes[..end], &key()), Err(Fault::Corrupt));
        }

        #[test]
        fn an_overwritten_byte_never_panics(at: prop::sample::Index, byte: u8) {
            let mut bytes = manifest().to_bytes().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(parsed) = Manifest::parse(&bytes, &key()) {
                prop_assert_eq!(parsed.key, key());
                prop_assert!(stays_inside(Path::new(&parsed.python)));
            }
        }

        #[test]
        fn writing_and_reading_is_the_identity(build_millis: u64, own_bytes: u64, python in r"[^/\x00]{1,20}") {
            prop_assume!(stays_inside(Path::new(&python)));
            let original = Manifest { python, build_millis, own_bytes, ..manifest() };
            let bytes = original.to_bytes().unwrap();
            prop_assert_eq!(Manifest::parse(&bytes, &key()), Ok(original));
        }
    }
}
