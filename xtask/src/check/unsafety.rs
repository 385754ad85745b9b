//! No crate but the named one can hold `unsafe`: the root forbids it, and every crate takes its lints from the root.
//!
//! Read off the manifests, since a crate that leaves the two lines out would be compiled without a word.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Speaks to SQLite's file layer in C.
const EXEMPT: &[&str] = &["seamount-faultdisk"];

/// What is not as it should be.
///
/// # Errors
/// A manifest cannot be read.
pub(crate) fn complaints(root: &Path, manifests: &[PathBuf]) -> Result<Vec<String>> {
    let read =
        |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let mut found = Vec::new();
    let forbidden =
        line_of(&read(&root.join("Cargo.toml"))?, "[workspace.lints.rust]", "unsafe_code");
    if forbidden.as_deref() != Some("\"forbid\"") {
        found.push("Cargo.toml does not forbid unsafe_code under [workspace.lints.rust]".into());
    }
    for path in manifests {
        let text = read(path)?;
        let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
        found.extend(complaint(&text).map(|what| format!("{name} {what}")));
    }
    Ok(found)
}

fn complaint(manifest: &str) -> Option<&'static str> {
    let exempt = line_of(manifest, "[package]", "name")
        .is_some_and(|name| EXEMPT.contains(&name.trim_matches('"')));
    let inherits = line_of(manifest, "[lints]", "workspace").as_deref() == Some("true");
    (!exempt && !inherits)
        .then_some("does not take the lints of the workspace: [lints] workspace = true")
}

/// The value of a key of a section, as it is written.
fn line_of(manifest: &str, section: &str, key: &str) -> Option<String> {
    let lines = manifest.lines().skip_while(|line| line.trim() != section).skip(1);
    let mut inside = lines.take_while(|line| !line.trim_start().starts_with('['));
    inside.find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == key).then(|| value.trim().to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_the_lints_is_named_unless_it_may() {
        let with = "[package]\nname = \"seamount-x\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(complaint(with), None);
        assert!(complaint("[package]\nname = \"seamount-x\"\n").is_some());
        let of_dependencies =
            "[package]\nname = \"x\"\n[lints]\n[dependencies]\nworkspace = true\n";
        assert!(complaint(of_dependencies).is_some());
        assert_eq!(complaint("[package]\nname = \"seamount-faultdisk\"\n"), None);
    }

    #[test]
    fn a_root_that_forbids_nothing_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-unsafety-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for (text, wrong) in [
            ("[workspace.lints.rust]\nunsafe_code = \"forbid\"\n", 0),
            ("[workspace.lints.rust]\nunsafe_code = \"warn\"\n", 1),
            ("[workspace]\n", 1),
        ] {
            std::fs::write(folder.join("Cargo.toml"), text).unwrap();
            assert_eq!(complaints(&folder, &[]).unwrap().len(), wrong, "{text}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
