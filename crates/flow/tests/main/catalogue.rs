//! Every code that is used is explained, and every example does what it says.

use super::project::{codes, read};
use seamount_flow::Problem;
use seamount_flow::explain::{self, Example};
use std::collections::BTreeSet;
use std::path::Path;

/// Codes in the sources below a folder.
fn used(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().unwrap() != "explain" {
            used(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let quoted = text.split('"').filter(|part| {
                part.len() == 5
                    && part.starts_with("E0")
                    && part[1..].bytes().all(|b| b.is_ascii_digit())
            });
            found.extend(quoted.map(String::from));
        }
    }
}

#[test]
fn every_code_in_use_is_explained() {
    let mut found = BTreeSet::new();
    // All crates share the catalogue.
    for entry in
        std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap().flatten()
    {
        let sources = entry.path().join("src");
        if sources.is_dir() {
            used(&sources, &mut found);
        }
    }
    assert!(found.len() > 50, "the search is broken: {found:?}");
    let unknown: Vec<&String> = found.iter().filter(|code| explain::of(code).is_none()).collect();
    assert!(unknown.is_empty(), "codes without an explanation: {unknown:?}");
}

#[test]
fn codes_are_unique_and_in_order() {
    let all: Vec<&str> = explain::all().map(|entry| entry.code).collect();
    let sorted: BTreeSet<&str> = all.iter().copied().collect();
    assert_eq!(all, sorted.into_iter().collect::<Vec<_>>());
    assert_eq!(explain::of("302").unwrap().code, "E0302");
    assert_eq!(explain::of("e0302").unwrap().code, "E0302");
    assert!(explain::of("E9999").is_none());
}

#[test]
fn every_example_triggers_exactly_its_code() {
    for entry in explain::all() {
        let Example::Files(files) = entry.example else { continue };
        let problems: Vec<Problem> = read(files).problems;
        // A flow that was put beside the project's own may wait for a proof schedule; that is another matter.
        assert_eq!(codes(&problems), [entry.code], "{problems:#?}");
        assert!(entry.render().contains(entry.title));
    }
}
