//! What installers need to take a distribution away, where the base has less than that.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::doubles::Doubles;
use super::place::Placement;
use super::record;
use super::walk::{Folder, Verdict};
use crate::error::{Error, IoResultExt};

/// Takes an entry of a site folder into another one, with the scripts in a folder of their own; the
/// metadata of a distribution with what no installer does without:
///
/// - a `.dist-info` folder without a whole `RECORD`, as Debian installs them, or a full disk leaves
///   them, gets one, and one without `METADATA` what its name says;
/// - one that prevails over others of its distribution also lists their files;
/// - an `.egg-info` file, which `distutils` left, becomes a `.dist-info` folder: both pip and uv
///   refuse to replace such a distribution, for they cannot know its files;
/// - an `.egg-info` folder without any list gets a `top_level.txt`.
pub(super) fn place(
    placement: &Placement<'_>,
    folder: &Folder,
    name: &OsStr,
    doubles: &Doubles,
    (site_dir, scripts): (&Path, &Path),
) -> Result<Verdict, Error> {
    let from = folder.from.join(name);
    let Some(text) = name.to_str().filter(|text| record::distribution(text).is_some()) else {
        return Ok(Verdict::Take);
    };
    let scripts = record::relative(site_dir, scripts);
    let has = |file: &str| fs::symlink_metadata(from.join(file)).is_ok();
    let own = |to: &Path, content: &str| placement.own_file(to, content.as_bytes(), 0o644, None);
    if text.ends_with(".dist-info") {
        if !from.is_dir() {
            return Ok(Verdict::Take);
        }
        let list = |name: &OsStr| files::read_regular_text(&folder.from.join(name).join("RECORD"));
        let listed = list(name).unwrap_or_default();
        let others: Vec<String> =
            doubles.over(name).map(|other| list(other).unwrap_or_default()).collect();
        let is_whole = record::is_whole(&listed, text);
        let to = site_dir.join(name);
        if !has("METADATA") {
            placement.folder(&to)?;
            own(&to.join("METADATA"), &record::named(text))?;
        }
        if is_whole && others.is_empty() {
            return Ok(Verdict::Take);
        }
        placement.folder(&to)?;
        let mut lists = vec![listed];
        if !is_whole {
            lists.push(record::made_up(&folder.from, text, text, &scripts));
        }
        lists.extend(others);
        own(&to.join("RECORD"), &record::joined(&lists, text))?;
        if !has("RECORD") {
            return Ok(Verdict::Take);
        }
        let is_other = |file: &&String| *file != "RECORD" && from.join(file).is_file();
        for file in record::files_in(&from).iter().filter(is_other) {
            let path = to.join(file);
            placement.folder(path.parent().unwrap_or(&to))?;
            let content = files::read_regular(&from.join(file)).context("read", from.join(file))?;
            placement.own_file(&path, &content, 0o644, None)?;
        }
        return Ok(Verdict::Leave);
    } else if from.is_dir() {
        if !has("installed-files.txt") && !has("top_level.txt") {
            let to = site_dir.join(name);
            placement.folder(&to)?;
            let tops = record::top_levels(&folder.from, text).join("\n");
            own(&to.join("top_level.txt"), &(tops + "\n"))?;
        }
    } else if from.is_file() {
        let metadata = files::read_regular(&from).context("read", &from)?;
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
