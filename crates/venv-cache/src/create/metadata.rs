//! What installers need to take a distribution away, where the base has less than that.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::place::Placement;
use super::record;
use super::walk::{Folder, Verdict};
use crate::error::{Error, IoResultExt};

/// Takes an entry of a site folder into `site_dir`, whose scripts are in `scripts`; the metadata of a distribution with what no
/// installer does without:
///
/// - a `.dist-info` folder without `RECORD`, as Debian installs them, gets one;
/// - an `.egg-info` file, which `distutils` left, becomes a `.dist-info` folder: both pip and uv
///   refuse to replace such a distribution, for they cannot know its files;
/// - an `.egg-info` folder without any list gets a `top_level.txt`.
pub(super) fn place(
    placement: &Placement<'_>,
    folder: &Folder,
    name: &OsStr,
    site_dir: &Path,
    scripts: &Path,
) -> Result<Verdict, Error> {
    let from = folder.from.join(name);
    let Some(text) = name.to_str().filter(|text| record::distribution(text).is_some()) else {
        return Ok(Verdict::Take);
    };
    let scripts = record::relative(site_dir, scripts);
    let has = |file: &str| fs::symlink_metadata(from.join(file)).is_ok();
    let own = |to: &Path, content: &str| placement.own_file(to, content.as_bytes(), 0o644, None);
    if text.ends_with(".dist-info") {
        if from.is_dir() && !has("RECORD") {
            let to = site_dir.join(name);
            placement.folder(&to)?;
            own(&to.join("RECORD"), &record::made_up(&folder.from, text, text, &scripts))?;
        }
    } else if from.is_dir() {
        if !has("installed-files.txt") && !has("top_level.txt") {
            let to = site_dir.join(name);
            placement.folder(&to)?;
            let tops = record::top_levels(&folder.from, text).join("\n");
            own(&to.join("top_level.txt"), &(tops + "\n"))?;
        }
    } else {
        let metadata = fs::read(&from).context("read", &from)?;
        let Some((distribution, version)) = record::identity(&String::from_utf8_lossy(&metadata))
        else {
            return Ok(Verdict::Take);
        };
        let info = format!("{distribution}-{version}.dist-info");
        let to = site_dir.join(&info);
        placement.folder(&to)?;
        placement.own_file(&to.join("METADATA"), &metadata, 0o644, None)?;
        own(&to.join("RECORD"), &record::made_up(&folder.from, text, &info, &scripts))?;
        return Ok(Verdict::Leave);
    }
    Ok(Verdict::Take)
}
