//! Archives packed for an enterprise policy: `update.xml` and a `.crx` beside a manifest that asks for
//! what Chromium gives to such extensions only.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use browserd_chromium::packed::{crx, manifest};
use serde_json::Value;
use zip::ZipArchive;

/// Largest manifest looked at, bytes.
const MANIFEST: u64 = 1 << 20;
/// Permissions that are nothing, or less, without a policy, by how they start.
const BY_POLICY: [&str; 2] = ["webRequest", "enterprise."];

/// The packed form of an extension.
#[derive(Debug)]
pub(super) struct Packed {
    /// The extension's id.
    pub(super) id: String,
    /// Its version, as Chromium has them: numbers with dots between.
    pub(super) version: String,
    /// The `.crx`, open.
    pub(super) crx: File,
    /// Its size, bytes.
    pub(super) size: u64,
}

/// What an unpacked archive has packed; `None` when it is an ordinary extension. The folder must still be
/// the guest's alone. What is wrong with it is said in words.
pub(super) fn find(folder: &Path) -> Result<Option<Packed>, String> {
    let update = folder.join("update.xml");
    if !asks_for_a_policy(folder) || !update.is_file() {
        return Ok(None);
    }
    let files = crx_files(folder).map_err(|error| format!("it cannot be read: {error}"))?;
    if files.is_empty() {
        return Ok(None);
    }
    let text = read_text(&update).map_err(|words| format!("update.xml {words}"))?;
    let path = named(&files, &text)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (crx, packed) = open(path).map_err(|error| format!("{name} {error}"))?;
    let size = crx.metadata().map_err(|error| format!("{name} cannot be read: {error}"))?.len();
    let version = version(&crx).map_err(|words| format!("{name} {words}"))?;
    let offers = manifest::offers(&text, &packed.id).map_err(|why| format!("update.xml {why}"))?;
    if !offers.iter().any(|offer| offer.version == version) {
        let offered = offers.first().map_or("", |offer| offer.version.as_str());
        let offered: String = offered.chars().take(40).collect();
        return Err(format!(
            "update.xml offers version {offered}, and {name} is version {version}"
        ));
    }
    Ok(Some(Packed { id: packed.id, version, crx, size }))
}

fn asks_for_a_policy(folder: &Path) -> bool {
    let manifest = File::open(folder.join("manifest.json"))
        .ok()
        .and_then(|file| serde_json::from_reader::<_, Value>(file.take(MANIFEST)).ok());
    let asked = manifest.as_ref().and_then(|manifest| manifest["permissions"].as_array());
    asked
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .any(|permission| BY_POLICY.iter().any(|start| permission.starts_with(start)))
}

/// The packed extensions in the folder itself, in the order of their names.
fn crx_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_file() && path.extension().is_some_and(|ext| ext == "crx") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Of several files the one `update.xml` speaks of.
fn named<'a>(files: &'a [PathBuf], update: &str) -> Result<&'a Path, String> {
    if let [only] = files {
        return Ok(only);
    }
    let spoken_of = |path: &&PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| update.contains(&format!("/{name}")))
    };
    let mut candidates = files.iter().filter(spoken_of);
    match (candidates.next(), candidates.next()) {
        (Some(one), None) => Ok(one),
        _ => Err("it has several .crx files, and update.xml does not say which".to_owned()),
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    file.take(manifest::SIZE + 1)
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > manifest::SIZE {
        return Err(format!("is larger than {} bytes", manifest::SIZE));
    }
    Ok(text)
}

fn open(path: &Path) -> Result<(File, crx::Crx), crx::CrxError> {
    let file = File::open(path)?;
    let packed = crx::read(BufReader::new(&file))?;
    Ok((file, packed))
}

/// The version in the manifest of a packed extension.
fn version(crx: &File) -> Result<String, String> {
    // The zip is found from its end, so what is before it does not matter.
    let mut zip = ZipArchive::new(crx).map_err(|error| format!("has no zip in it: {error}"))?;
    let entry =
        zip.by_name("manifest.json").map_err(|_| "has no manifest.json in it".to_owned())?;
    let manifest: Value = serde_json::from_reader(entry.take(MANIFEST))
        .map_err(|error| format!("has a manifest.json that cannot be read: {error}"))?;
    let version = manifest["version"].as_str().unwrap_or_default();
    let parts = version.split('.');
    let sound = parts.clone().count() <= 4
        && parts
            .into_iter()
            .all(|part| (1..=10).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()));
    if !sound {
        return Err("has no version in its manifest.json".to_owned());
    }
    Ok(version.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A file with something before a zip with this manifest.
    fn prefixed(manifest: &str) -> File {
        let mut zip = ZipWriter::new(io::Cursor::new(Vec::new()));
        zip.start_file("manifest.json", SimpleFileOptions::default()).unwrap();
        zip.write_all(manifest.as_bytes()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 579]).unwrap();
        file.write_all(zip.finish().unwrap().get_ref()).unwrap();
        file
    }

    #[test]
    fn versions_of_packed_extensions() {
        for good in ["1", "1.0", "1.2.3.4", "2026.11.28"] {
            let manifest = format!("{{\"version\": \"{good}\"}}");
            assert_eq!(version(&prefixed(&manifest)).unwrap(), good);
        }
        for bad in ["", "1.", "1.2.3.4.5", "1\\\"/>", "a"] {
            let manifest = format!("{{\"version\": \"{bad}\"}}");
            assert!(version(&prefixed(&manifest)).unwrap_err().contains("no version"), "{bad}");
        }
        assert!(version(&prefixed("{")).unwrap_err().contains("cannot be read"));
        assert!(version(&tempfile::tempfile().unwrap()).unwrap_err().contains("no zip"));
    }

    #[test]
    fn what_is_an_ordinary_extension() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        write("manifest.json", r#"{"permissions": ["tabs"]}"#);
        write("update.xml", "<gupdate/>");
        write("x.crx", "");
        assert!(find(dir.path()).unwrap().is_none());
        write("manifest.json", r#"{"permissions": [1, "webRequestBlocking"]}"#);
        assert!(find(dir.path()).unwrap_err().starts_with("x.crx is no packed extension"));
        write("y.crx", "");
        assert!(find(dir.path()).unwrap_err().contains("several"));
        write("update.xml", "codebase='http://a/y.crx'");
        assert!(find(dir.path()).unwrap_err().starts_with("y.crx is no packed extension"));
        fs::remove_file(dir.path().join("update.xml")).unwrap();
        assert!(find(dir.path()).unwrap().is_none());
        write("update.xml", &"x".repeat(70_000));
        assert!(find(dir.path()).unwrap_err().contains("larger"));
        fs::remove_file(dir.path().join("x.crx")).unwrap();
        fs::remove_file(dir.path().join("y.crx")).unwrap();
        assert!(find(dir.path()).unwrap().is_none());
    }
}
