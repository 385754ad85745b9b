//! `init`: a project, and a flow for each table of a database. Never writes over a file.

use crate::args::{Global, Init};
use crate::assemble::connectors;
use crate::exit::{DONE, Failure};
use crate::output::Output;
use crate::time::counted;
use connect::redact::{only_references, password_in_url, redacted};
use connect::{Error, ProcessSecrets, Result as EdgeResult, Secrets, SiteSettings};
use flow::init::InitFrom;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) fn run(global: &Global, what: &Init, output: &Output) -> Result<u8, Failure> {
    let root = &global.directory;
    std::fs::create_dir_all(root).map_err(|e| {
        Error::unavailable(format!("{} cannot be created", root.display())).caused_by(e)
    })?;
    what.from.iter().chain(&what.to).try_for_each(|url| refuse_password(url))?;
    let from = match &what.from {
        Some(url) => Some(measure(root, url)?),
        None => None,
    };
    let name = std::fs::canonicalize(root)
        .ok()
        .and_then(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()))
        .unwrap_or_else(|| "project".into());
    let files = apart(flow::init::init(&name, from.as_ref(), what.to.as_deref()));
    if let Some((there, _)) = files.iter().find(|(path, _)| root.join(path).exists()) {
        return Err(Error::invalid(format!("{} is there already", there.display()))
            .effect("nothing was written")
            .fix("seamount init -C NEW_FOLDER, or edit what is there")
            .into());
    }
    for (path, text) in &files {
        write(&root.join(path), text)?;
        output.line(&format!("  + {}", path.display()));
        output.object(&json!({ "type": "file", "path": path }));
    }
    let text =
        format!("{} written; next: seamount check --online", counted(files.len() as u64, "file"));
    output.summary(&text, &[("files", json!(files.len()))]);
    Ok(DONE)
}

/// What is written to `sites.toml` must not hold a secret, nor the shell's history.
fn refuse_password(url: &str) -> EdgeResult<()> {
    match password_in_url(url).filter(|place| !only_references(&url[place.clone()])) {
        None => Ok(()),
        Some(_) => Err(Error::invalid("the url holds a password")
            .found(redacted(url))
            .effect("nothing was written")
            .fix("put ${env:NAME} or ${file:/run/secrets/name} in its place, in single quotes")
            .code("E0204")),
    }
}

/// Tables called `a b` and `a_b` come to one file name; each keeps a file of its own, on file systems that take
/// capitals for small letters too.
fn apart(files: Vec<(PathBuf, String)>) -> Vec<(PathBuf, String)> {
    let mut taken = BTreeSet::new();
    let mut named = |path: PathBuf| {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let mut free = path.clone();
        let mut number = 1;
        while !taken.insert(free.to_string_lossy().to_lowercase()) {
            number += 1;
            let stem = stem.as_deref().unwrap_or_default();
            free = path.with_file_name(format!("{stem}-{number}.toml"));
        }
        free
    };
    files.into_iter().map(|(path, text)| (named(path), text)).collect()
}

fn write(path: &Path, text: &str) -> EdgeResult<()> {
    let failed =
        |e| Error::unavailable(format!("{} cannot be written", path.display())).caused_by(e);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

/// The tables of a database, as they are.
fn measure(root: &Path, url: &str) -> EdgeResult<InitFrom> {
    let secrets: Arc<dyn Secrets> = Arc::new(ProcessSecrets);
    let settings = SiteSettings {
        site: "source".into(),
        url: flow::template(url, root, &secrets)?,
        root: root.to_path_buf(),
        options: BTreeMap::new(),
        masks: Default::default(),
    };
    let mut site = connectors().of(&settings)?.readable(&settings)?;
    let mut tables = Vec::new();
    for table in site.tables()? {
        let schema = site.describe(&table)?;
        tables.push((table, schema));
    }
    Ok(InitFrom { url: url.to_string(), tables })
}
