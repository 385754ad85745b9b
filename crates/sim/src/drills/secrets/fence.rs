//! A folder of files is a fence: whatever names and links somebody puts into it, no byte from outside comes out (S11).

use crate::drill::Violation;
use crate::random::Random;
use connect::component::Connector;
use connect::{FileEntry, FileOptions, FileSite, SiteSettings};
use connectors::files::Files;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What lies outside, in files that look like any other.
const OUTSIDE: &str = "a\nnobody-may-read-this\n";

struct World {
    folder: TempDir,
    names: Vec<String>,
}

pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    let world = World::new(&mut random);
    let settings = SiteSettings {
        site: "shop".into(),
        url: "files:site".into(),
        root: world.folder.path().to_path_buf(),
        options: Default::default(),
        masks: Default::default(),
    };
    let mut site = Files.files(&settings).unwrap();
    for name in &world.names {
        world.try_path(site.as_mut(), name)?;
    }
    for path in written_ways(world.folder.path()) {
        world.try_path(site.as_mut(), &path)?;
    }
    for pattern in ["*.csv", "*/*.csv", "sub/*.csv", "link-*/x.csv", "f*.csv"] {
        // A pattern that meets a way out is refused as a whole; what it lists must be readable within.
        for file in site.list(pattern).unwrap_or_default() {
            world.try_path(site.as_mut(), &file.path)?;
        }
    }
    Ok(())
}

/// Paths that lead out by the way they are written.
fn written_ways(folder: &Path) -> Vec<String> {
    let absolute = folder.join("outside/x.csv").display().to_string();
    let relative =
        ["../outside/x.csv", "sub/../../outside/x.csv", "sub/../x.csv", "./../outside/x.csv"];
    relative.into_iter().map(String::from).chain([absolute]).collect()
}

impl World {
    fn new(random: &mut Random) -> World {
        let folder = tempfile::tempdir().unwrap();
        let (site, outside) = (folder.path().join("site"), folder.path().join("outside"));
        std::fs::create_dir_all(site.join("sub/deep")).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::fs::write(outside.join("x.csv"), OUTSIDE).unwrap();
        let mut world = World { folder, names: Vec::new() };
        for n in 0..4 + random.below(6) {
            let parent = *random.pick(&["", "sub/", "sub/deep/"]);
            let name = match random.below(3) {
                0 => format!("{parent}f{n}.csv"),
                1 => format!("{parent}link-{n}.csv"),
                _ => format!("{parent}link-{n}"),
            };
            world.put(random, &site, &outside, &name);
        }
        world
    }

    /// Puts one name there: a file, or a link to somewhere.
    fn put(&mut self, random: &mut Random, site: &Path, outside: &Path, name: &str) {
        let up = "../".repeat(name.matches('/').count() + 1);
        let target: Option<PathBuf> = match random.below(7) {
            0 => None,
            1 => Some(outside.join("x.csv")),
            2 => Some(PathBuf::from(format!("{up}outside/x.csv"))),
            3 => Some(outside.to_path_buf()),
            4 => Some(PathBuf::from(format!("{up}outside"))),
            5 => Some(PathBuf::from(format!("{up}site/{up}outside/x.csv"))),
            _ => self.names.first().map(|first| site.join(first)),
        };
        let path = site.join(name);
        match target {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None => std::fs::write(path, "a\n1\n").unwrap(),
        }
        self.names.push(name.to_string());
        self.names.push(format!("{name}/x.csv"));
    }

    /// Reads a path in every way; nothing from outside may come out.
    fn try_path(&self, site: &mut dyn FileSite, path: &str) -> Result<(), Violation> {
        let file = FileEntry { interval: None, path: path.to_string(), bytes: 0 };
        let options = FileOptions::default();
        let forbidden = blake3_of(self.folder.path());
        let fingerprint = site.fingerprint(&file);
        if fingerprint.as_ref().is_ok_and(|found| *found == forbidden) {
            return Err(escaped(path, "its fingerprint"));
        }
        let Ok(schema) = site.describe(&file, &options) else { return Ok(()) };
        let mut rows = String::new();
        let mut sink = |batch| {
            rows.push_str(&format!("{batch:?}"));
            Ok(())
        };
        // What fails is refused, which is right as well.
        let _ = site.read(&file, &fingerprint.unwrap_or_default(), &schema, &options, &mut sink);
        match rows.contains("nobody-may-read-this") {
            true => Err(escaped(path, "its rows")),
            false => Ok(()),
        }
    }
}

/// The fingerprint of the file outside, told by a site of its own.
fn blake3_of(folder: &Path) -> String {
    let settings = SiteSettings {
        site: "outside".into(),
        url: "files:outside".into(),
        root: folder.to_path_buf(),
        options: Default::default(),
        masks: Default::default(),
    };
    let file = FileEntry { interval: None, path: "x.csv".into(), bytes: 0 };
    Files.files(&settings).unwrap().fingerprint(&file).unwrap()
}

fn escaped(path: &str, what: &str) -> Violation {
    Violation::new("S11 confined files", format!("{what} came out of the folder by {path:?}"))
}
