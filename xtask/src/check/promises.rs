//! Every promise of the guarantees page and of the threat model names what proves it, and that is there.
//!
//! A proof is written as `path/to/file.rs::name_of_the_test`, or as `drill NAME` for one of the simulator's.

use anyhow::{Context, Result};
use std::path::Path;

/// Pages whose promises are held to.
const PAGES: &[&str] = &["docs/guarantees.md", "docs/threat-model.md"];

/// Where drills get their names.
const DRILLS: &[&str] =
    &["crates/sim/src/drills", "crates/sim/src/world.rs", "crates/sim/src/world"];

/// What is not as it should be.
///
/// # Errors
/// A page or a source cannot be read.
pub(crate) fn complaints(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for page in PAGES {
        let text = std::fs::read_to_string(root.join(page)).with_context(|| (*page).to_string())?;
        let mut proofs = 0;
        for (number, line) in text.lines().enumerate() {
            for proof in line.split('`').skip(1).step_by(2) {
                let Some(missing) = missing(root, proof)? else { continue };
                proofs += 1;
                if let Some(why) = missing {
                    found.push(format!("{page}:{}: `{proof}`: {why}", number + 1));
                }
            }
        }
        if proofs == 0 {
            found.push(format!("{page} names no test: nothing on it can be relied on"));
        }
    }
    Ok(found)
}

/// `None`: no proof is meant. Otherwise why it is not there, if it is not.
fn missing(root: &Path, proof: &str) -> Result<Option<Option<String>>> {
    if let Some(name) = proof.strip_prefix("drill ") {
        let mut there = false;
        for place in DRILLS {
            there |= holds(&root.join(place), &format!("\"{name}\""))?;
        }
        return Ok(Some((!there).then(|| "there is no such drill".to_string())));
    }
    let Some((path, name)) = proof.split_once(".rs::") else { return Ok(None) };
    let Ok(text) = std::fs::read_to_string(root.join(format!("{path}.rs"))) else {
        return Ok(Some(Some("there is no such file".into())));
    };
    let there = text.contains(&format!("fn {name}("));
    Ok(Some((!there).then(|| format!("{path}.rs has no function {name}"))))
}

/// Whether a source, or one below a folder, holds a text.
fn holds(folder: &Path, wanted: &str) -> Result<bool> {
    if folder.is_file() {
        return Ok(std::fs::read_to_string(folder).is_ok_and(|text| text.contains(wanted)));
    }
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if holds(&path, wanted)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proofs_that_are_not_there_are_named() {
        let root = crate::process::root();
        let why = |proof: &str| missing(&root, proof).unwrap();
        let own = "xtask/src/check/promises.rs::proofs_that_are_not_there_are_named";
        assert_eq!(why(own), Some(None));
        assert_eq!(
            why("xtask/src/check/promises.rs::nobody"),
            Some(Some("xtask/src/check/promises.rs has no function nobody".into()))
        );
        assert!(matches!(why("crates/none.rs::x"), Some(Some(_))));
        assert!(matches!(why("drill that nobody wrote"), Some(Some(_))));
        assert_eq!(why("sites.toml"), None);
    }
}
