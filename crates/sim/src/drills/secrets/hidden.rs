//! A password made of any signs stands in no error, no problem and nothing that is shown (S1, S2).

use crate::drill::Violation;
use crate::random::Random;
use connect::component::Connector;
use connect::redact::redacted;
use connect::{Connectors, Reference, Secret, Secrets, Setting, SiteSettings};
use connectors::files::Files;
use connectors::sqlite::Sqlite;
use flow::{Context, Paint};
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// Every password is made of words that begin so: one of them that is seen is a leak.
const MARK: &str = "zq7";

/// What stands between the words: signs that divide urls, texts, paths and lines.
const BETWEEN: &[&str] = &[
    "@",
    "/",
    "://",
    ":",
    "?",
    "#",
    "&",
    "=",
    ";",
    " ",
    "\"",
    "'",
    "$",
    "{",
    "}",
    "%40",
    "\\",
    "é",
    ",",
    "..",
    "password=",
    "@h/",
    "|",
    "\t",
    "[",
    "+",
];

/// Where a password can be written down; `{}` is its place.
const WRITTEN: &[&str] = &[
    "postgres://user:{}@host/db",
    "postgres://host/db?user=u&password={}",
    "host=h user=u password={}",
    "mssql:server=h;Pwd={}",
    "password = \"{}\"",
    "url = \"mysql://u:{}@host\"",
    "{ url = \"x:\", token = '{}' }",
    "sqlite:a.db?api_key={}",
];

/// Urls that get it by reference.
const REFERRED: &[&str] = &[
    "sqlite:{}",
    "sqlite:{}/x.db",
    "sqlite:x.db?key={}",
    "files:{}",
    "files:sub/{}",
    "{}",
    "{}:x",
];

struct Knows(String);

impl Secrets for Knows {
    fn find(&self, _: &Reference) -> connect::Result<Secret> {
        Ok(Secret::new(self.0.as_str()))
    }
}

pub(super) fn run(seed: u64) -> Result<(), Violation> {
    let mut random = Random::new(seed);
    for _ in 0..20 {
        let password = password(&mut random);
        for form in WRITTEN {
            written(form, &password)?;
        }
        referred(&mut random, &password)?;
    }
    Ok(())
}

fn password(random: &mut Random) -> String {
    let mut text = MARK.to_string();
    for n in 0..=random.below(4) {
        let between: &&str = random.pick(BETWEEN);
        text.push_str(between);
        text.push_str(&format!("{MARK}{n}"));
    }
    text
}

fn leak(place: &str, said: &str, password: &str) -> Result<(), Violation> {
    match said.contains(MARK) {
        true => {
            let what = format!("{place} shows a part of {password:?}: {said:?}");
            Err(Violation::new("Q quiet secrets", what))
        }
        false => Ok(()),
    }
}

/// A text with a password in it is shown without it, and with everything in front of it.
fn written(form: &str, password: &str) -> Result<(), Violation> {
    let text = form.replace("{}", password);
    let shown = redacted(&text);
    leak(form, &shown, password)?;
    leak(form, &Setting::from(text.as_str()).to_string(), password)?;
    let before = form.split("{}").next().unwrap_or_default();
    if !shown.starts_with(before) {
        let what = format!("{form}: what stands before the password is gone: {shown:?}");
        return Err(Violation::new("Q quiet secrets", what));
    }
    Ok(())
}

/// A site whose url holds the secret is opened in every way there is; most of them fail.
fn referred(random: &mut Random, password: &str) -> Result<(), Violation> {
    let folder = tempfile::tempdir().unwrap();
    let knows: Arc<dyn Secrets> = Arc::new(Knows(password.to_string()));
    let form = *random.pick(REFERRED);
    let setting = |form: &str| {
        let (before, after) = form.split_once("{}").unwrap();
        let mut setting = Setting::default();
        setting.add_text(before);
        setting.add_secret(Reference::Env("PW".into()), Arc::clone(&knows));
        setting.add_text(after);
        setting
    };
    let site = |form: &str| SiteSettings {
        site: "shop".into(),
        url: setting(form),
        root: folder.path().to_path_buf(),
        options: Default::default(),
        masks: Default::default(),
    };
    let of = site(form);
    leak("the settings", &format!("{of:?}"), password)?;
    failed("readable", Sqlite.readable(&of), password)?;
    failed("source", Sqlite.source(&of), password)?;
    failed("files", Files.files(&of).and_then(|mut f| f.list("*/*.csv")), password)?;
    let known = Connectors::new(vec![Box::new(Sqlite), Box::new(Files)]);
    failed("the connector", known.of(&of).map(|_| ()), password)?;
    // A folder stands where the database should be.
    if std::fs::create_dir_all(of.path().unwrap_or_default()).is_ok() {
        failed("a folder opened", Sqlite.readable(&of), password)?;
        failed("a folder written", Sqlite.target(&of), password)?;
    }
    let mut patient = site(form);
    patient.url = Setting::from("sqlite:x.db");
    patient.options.insert("busy_timeout_ms".into(), setting("{}"));
    failed("an option", Sqlite.readable(&patient), password)?;
    project(folder.path(), form, &knows, password)
}

/// An error with its causes, as it is printed by whatever prints errors.
fn failed<T>(place: &str, outcome: connect::Result<T>, password: &str) -> Result<(), Violation> {
    let Err(error) = outcome else { return Ok(()) };
    let mut said = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(&error);
    while let Some(e) = cause {
        said.push_str(&format!(" {e} {e:?}"));
        cause = e.source();
    }
    leak(place, &said, password)
}

/// A project with such a site is read, and everything that is said of it.
fn project(
    folder: &Path,
    form: &str,
    knows: &Arc<dyn Secrets>,
    password: &str,
) -> Result<(), Violation> {
    let put = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    put("seamount.toml", "name = \"trial\"\n".into());
    put(
        "sites.toml",
        format!("[shop]\nurl = \"{}\"\nsecret = \"${{env:B}}\"\n", form.replace("{}", "${env:A}")),
    );
    let context =
        Context { schemes: &["sqlite", "files"], options: &[], secrets: Arc::clone(knows) };
    let reading = flow::read(folder, &context);
    let problems: Vec<String> =
        reading.problems.iter().map(|problem| problem.render(Paint::Plain)).collect();
    leak("a project", &shown(&reading), password)?;
    leak("its problems", &problems.join("\n"), password)
}

fn shown(thing: &impl Debug) -> String {
    format!("{thing:?}")
}
