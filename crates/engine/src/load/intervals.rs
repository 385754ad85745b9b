//! What a batch flow has to run: intervals, each with what it covers and the fingerprint of its inputs.

use crate::assembly::Assembly;
use change::DigestKey;
use connect::{Error, FileEntry, PublishedRun, Result};
use flow::{Flow, From, Site};
use std::collections::BTreeMap;

/// A file of a site, as it was fingerprinted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PinnedFile {
    pub(crate) site: String,
    pub(crate) entry: FileEntry,
    pub(crate) fingerprint: String,
}

/// One run to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// What it covers.
    pub label: String,
    /// Fingerprint of its inputs; with the label, what makes a second run of the same a run of nothing.
    pub content: String,
    pub(crate) files: Vec<PinnedFile>,
}

impl Interval {
    /// A run that reads tables as they are now.
    pub fn of_tables(label: impl Into<String>, content: impl Into<String>) -> Self {
        Interval { label: label.into(), content: content.into(), files: Vec::new() }
    }
}

/// Intervals of a flow that reads files, oldest first; one for each file name, or one for all.
///
/// # Errors
/// A site is gone, or a file is still being written.
pub(crate) fn of_files(assembly: &Assembly, flow: &Flow) -> Result<Vec<Interval>> {
    let From::Files { pattern, .. } = &flow.from else {
        return Err(Error::internal(format!("flow {} reads tables, not files", flow.name)));
    };
    let mut by_label: BTreeMap<String, Vec<PinnedFile>> = BTreeMap::new();
    for site in flow.sites.iter().filter_map(|name| assembly.project.sites.get(name)) {
        for pinned in pin(assembly, site, pattern)? {
            let label = pinned.entry.interval.clone().unwrap_or_else(|| "all".into());
            by_label.entry(label).or_default().push(pinned);
        }
    }
    if by_label.is_empty() {
        return Err(Error::refused(format!("flow {}: no file matches {pattern}", flow.name))
            .effect("nothing was run; what was published before stays")
            .fix("look into the site's folder, or correct `files` in the flow")
            .code("E0512"));
    }
    Ok(by_label
        .into_iter()
        .map(|(label, files)| Interval { label, content: content_of(&files), files })
        .collect())
}

fn pin(assembly: &Assembly, site: &Site, pattern: &str) -> Result<Vec<PinnedFile>> {
    let mut folder = assembly.connectors.of(&site.settings)?.files(&site.settings)?;
    let entries = folder.list(pattern).map_err(|e| e.at(&site.name))?;
    entries
        .into_iter()
        .map(|entry| {
            let fingerprint = folder.fingerprint(&entry).map_err(|e| e.at(&site.name))?;
            Ok(PinnedFile { site: site.name.clone(), entry, fingerprint })
        })
        .collect()
}

/// One fingerprint of several files.
fn content_of(files: &[PinnedFile]) -> String {
    let mut text = String::new();
    for file in files {
        text.push_str(&format!("{}\0{}\0{}\0", file.site, file.entry.path, file.fingerprint));
    }
    format!("{:032x}", DigestKey::new(0).hash(text.as_bytes()))
}

/// The intervals that were not published yet, or were with other content.
pub(crate) fn unpublished(intervals: Vec<Interval>, published: &[PublishedRun]) -> Vec<Interval> {
    let is_new = |interval: &Interval| {
        let newest = published.iter().find(|run| run.interval == interval.label);
        newest.is_none_or(|run| run.content != interval.content)
    };
    intervals.into_iter().filter(is_new).collect()
}
