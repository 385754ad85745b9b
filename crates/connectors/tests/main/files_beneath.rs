//! Nothing outside of a site's folder is read, whatever names and links are put into it.

use super::files::{entry, settings};
use connect::component::Connector;
use connect::{FileOptions, FileSite, Kind, Result};
use seamount_connectors::files::Files;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

const SECRET: &str = "a\nsecret of another site\n";

/// A folder `site` with one file, beside a file that does not belong to it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("site/sub")).unwrap();
        fs::write(folder.path().join("site/good.csv"), "a\n1\n").unwrap();
        fs::create_dir(folder.path().join("other")).unwrap();
        fs::write(folder.path().join("other/x.csv"), SECRET).unwrap();
        Place { folder }
    }

    fn below(&self, name: &str) -> PathBuf {
        self.folder.path().join("site").join(name)
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("other/x.csv")
    }

    fn site(&self) -> Box<dyn FileSite> {
        Files.files(&settings(self.folder.path(), "files:site")).unwrap()
    }

    /// Every way to a file's content; the code of the refusal, which must be the same for all.
    fn refused(&self, path: &str) -> Option<&'static str> {
        let mut site = self.site();
        let file = entry(path);
        let options = FileOptions::default();
        let schema = site.describe(&entry("good.csv"), &options).unwrap();
        let mut sink = |_| -> Result<()> { panic!("rows of {path} came out") };
        let errors = [
            site.describe(&file, &options).unwrap_err(),
            site.fingerprint(&file).unwrap_err(),
            site.read(&file, "", &schema, &options, &mut sink).unwrap_err(),
        ];
        for error in &errors {
            assert!(!format!("{error:?}").contains("secret of"), "{error:?}");
            assert_eq!(error.code, errors[0].code, "{path}: {error}");
        }
        errors[0].code
    }
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let place = Place::new();
    let absolute = place.outside().display().to_string();
    for path in [
        "../other/x.csv",
        "sub/../../other/x.csv",
        "./good.csv",
        "..",
        "../x.csv",
        &absolute,
        "/proc/self/environ.csv",
        "good.csv\0.csv",
        "//other/x.csv",
    ] {
        assert_eq!(place.refused(path), Some("E0213"), "{path:?}");
    }
}

#[test]
fn a_link_that_leads_out_of_the_folder_is_refused() {
    let place = Place::new();
    symlink(place.outside(), place.below("absolute.csv")).unwrap();
    symlink("../other/x.csv", place.below("relative.csv")).unwrap();
    symlink("relative.csv", place.below("second.csv")).unwrap();
    symlink("../other", place.below("folder")).unwrap();
    symlink("/proc/self/environ", place.below("environ.csv")).unwrap();
    for path in ["absolute.csv", "relative.csv", "second.csv", "folder/x.csv", "environ.csv"] {
        assert_eq!(place.refused(path), Some("E0213"), "{path}");
    }
    for pattern in ["*.csv", "abs*.csv", "folder/*.csv", "*/x.csv"] {
        let error = place.site().list(pattern).unwrap_err();
        assert!(!format!("{error:?}").contains("secret of"));
        let refused = error.code == Some("E0213") || error.kind == Kind::Unavailable;
        assert!(refused, "{pattern}: {error}");
    }
}

#[test]
fn a_link_within_the_folder_is_followed() {
    let place = Place::new();
    symlink("good.csv", place.below("latest.csv")).unwrap();
    symlink("../good.csv", place.below("sub/up.csv")).unwrap();
    let mut site = place.site();
    let names = |pattern: &str, site: &mut dyn FileSite| -> Vec<String> {
        site.list(pattern).unwrap().into_iter().map(|file| file.path).collect()
    };
    assert_eq!(names("*.csv", site.as_mut()), ["good.csv", "latest.csv"]);
    assert_eq!(names("sub/*.csv", site.as_mut()), ["sub/up.csv"]);
    let one = site.fingerprint(&entry("good.csv")).unwrap();
    assert_eq!(site.fingerprint(&entry("sub/up.csv")).unwrap(), one);
}

#[test]
fn devices_and_pipes_are_refused_and_hold_nobody() {
    let place = Place::new();
    let made = std::process::Command::new("mkfifo").arg(place.below("pipe.csv")).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(place.refused("pipe.csv"), Some("E0213"));
        assert_eq!(place.site().list("*.csv").unwrap_err().code, Some("E0213"));
        fs::remove_file(place.below("pipe.csv")).unwrap();
    }
    let _socket = std::os::unix::net::UnixListener::bind(place.below("s.csv")).unwrap();
    assert!(place.site().fingerprint(&entry("s.csv")).is_err());
    fs::create_dir(place.below("folder.csv")).unwrap();
    assert_eq!(place.refused("folder.csv"), Some("E0213"));
    fs::remove_file(place.below("s.csv")).unwrap();
    assert_eq!(place.site().list("*.csv").unwrap().len(), 1, "a folder is no file, and no fault");
}

/// Puts a link in the place of what stands there, in one step.
fn swap(place: &Place, what: &Path, name: &str) {
    let new = place.below("new");
    symlink(what, &new).unwrap();
    fs::rename(new, place.below(name)).unwrap();
}

#[test]
fn a_link_that_is_swapped_while_we_look_never_gets_through() {
    let place = Place::new();
    let (tries, over) = (1_000, AtomicBool::new(false));
    let mut read = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                swap(&place, Path::new("good.csv"), "x.csv");
                swap(&place, &place.outside(), "x.csv");
                swap(&place, Path::new("../other/x.csv"), "x.csv");
            }
        });
        let mut site = place.site();
        let good = site.fingerprint(&entry("good.csv")).unwrap();
        for _ in 0..tries {
            match site.fingerprint(&entry("x.csv")) {
                Ok(found) => {
                    read += 1;
                    assert!(found == good, "the file of another site was read");
                }
                Err(error) => assert!(!format!("{error:?}").contains("secret of"), "{error:?}"),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("{read} of {tries} tries met the file that may be read");
}
