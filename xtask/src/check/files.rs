//! What every source file looks like: it begins with `//!`, and its production part fits in 450 lines.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Where sources lie, below the root.
const FOLDERS: &[&str] = &["crates", "bench", "xtask", "examples"];

/// Most lines before the tests of a file begin.
const MOST_LINES: usize = 450;

/// What is not as it should be.
///
/// # Errors
/// A folder or file cannot be read.
pub(crate) fn complaints(root: &Path) -> Result<Vec<String>> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut sources)?;
    }
    sources.sort();
    let mut found = Vec::new();
    for path in sources {
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let tests = path.components().any(|part| part.as_os_str() == "tests");
        let part = if tests { Part::Tests } else { Part::Production };
        found.extend(complaints_of(&text, part).into_iter().map(|what| format!("{name} {what}")));
    }
    Ok(found)
}

/// Rust sources below a folder; build output is none.
fn collect(folder: &Path, sources: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry.with_context(|| folder.display().to_string())?.path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(path);
        }
    }
    Ok(())
}

/// Which part of a crate a file belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Production,
    /// Below `tests`: as long as they need to be.
    Tests,
}

fn complaints_of(text: &str, part: Part) -> Vec<String> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push("does not begin with //! and its purpose".to_string());
    }
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count();
    if lines > MOST_LINES && part == Part::Production {
        found
            .push(format!("has {lines} production lines, {MOST_LINES} at most: make it two rooms"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_and_the_length_count_and_tests_do_not() {
        let complaints = |text: &str| complaints_of(text, Part::Production);
        assert_eq!(complaints("//! Purpose.\nfn main() {}\n"), Vec::<String>::new());
        assert!(complaints("fn main() {}\n")[0].contains("//!"));
        let long = format!("//! Purpose.\n{}", "fn f() {}\n".repeat(MOST_LINES));
        assert!(complaints(&long)[0].contains("451 production lines"));
        let tests = format!("//! Purpose.\n#[cfg(test)]\n{}", "fn f() {}\n".repeat(MOST_LINES));
        assert_eq!(complaints(&tests), Vec::<String>::new());
        assert_eq!(complaints_of(&long, Part::Tests), Vec::<String>::new());
        assert!(complaints_of("fn main() {}\n", Part::Tests)[0].contains("//!"));
    }

    #[test]
    fn files_below_folders_are_found() {
        let sources = {
            let mut sources = Vec::new();
            collect(&crate::process::root().join("xtask"), &mut sources).unwrap();
            sources
        };
        assert!(sources.iter().any(|path| path.ends_with("src/check/files.rs")), "{sources:?}");
    }
}
