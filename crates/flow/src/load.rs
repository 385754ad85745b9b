//! Reads a project's folder and checks everything that can be checked without asking a site.
//!
//! All problems of all files come back at once, errors before warnings, each in the order `seamount.toml`,
//! `sites.toml` and its lists, `flows/*.toml`; whatever the files hold, nothing here panics.

use crate::check::across::{self, Draft};
use crate::check::flow as check_flow;
use crate::check::masks;
use crate::check::sites::{self as check_sites, Sites, World};
use crate::diagnostic::{Place, Problem};
use crate::flow::{Flow, LogSettings, Project};
use crate::source_text::{SourceText, why_unread};
use crate::spec;
use connect::{ProcessSecrets, Secrets};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the loader is told of the binary it runs in.
pub struct Context<'a> {
    /// The url schemes that connectors answer to.
    pub schemes: &'a [&'a str],
    /// Keys of a site that connectors know; when empty, any key is passed on.
    pub options: &'a [&'a str],
    /// Where secrets come from.
    pub secrets: Arc<dyn Secrets>,
}

impl<'a> Context<'a> {
    /// A context with the process's own environment and files.
    pub fn new(schemes: &'a [&'a str]) -> Self {
        Context { schemes, options: &[], secrets: Arc::new(ProcessSecrets) }
    }
}

/// A project that was read, as far as it can be used, with everything that is to be said of it.
#[derive(Debug)]
pub struct Reading {
    /// The project; `None` when there are errors.
    pub project: Option<Project>,
    /// Errors, then warnings, each in the order of the files.
    pub problems: Vec<Problem>,
}

/// Loads a project.
///
/// # Errors
/// Every error of every file, with the warnings among them. [`read`] also returns the warnings of a project that
/// loads.
pub fn load(root: &Path, context: &Context<'_>) -> Result<Project, Vec<Problem>> {
    let reading = read(root, context);
    reading.project.ok_or(reading.problems)
}

/// How long the log keeps what nobody said how long to keep.
const DEFAULT_KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Loads a project and says everything that is to be said of it.
pub fn read(root: &Path, context: &Context<'_>) -> Reading {
    let mut problems = Vec::new();
    if !root.join("seamount.toml").exists() {
        let problem = Problem::error("E0101", "this folder is not a Seamount project")
            .at(Place { file: "seamount.toml".into(), spot: None })
            .found("there is no file seamount.toml")
            .effect("nothing was read and nothing was written")
            .fix("seamount init      # makes one; or name another folder with -C DIR");
        return Reading { project: None, problems: vec![problem] };
    }
    let project_source = open(root, Path::new("seamount.toml"), &mut problems);
    let project_spec = project_source.as_ref().and_then(spec::project::read).unwrap_or_default();
    problems.extend(project_source.map(SourceText::into_problems).unwrap_or_default());

    let sites = read_sites(root, context, &mut problems);
    let drafts = read_flows(root, sites.as_ref(), &mut problems);
    let mut flows = Vec::new();
    for draft in drafts {
        if !draft.source.has_errors() {
            flows.extend(draft.flow);
        }
        problems.extend(draft.source.into_problems());
    }
    // Errors first; within each, the order of the files stays.
    problems.sort_by_key(|problem| problem.severity);
    let usable = !problems.iter().any(Problem::is_error);
    let project = usable.then(|| assemble(root, project_spec, sites, flows)).flatten();
    Reading { project, problems }
}

/// Puts a project together that has no errors.
fn assemble(
    root: &Path,
    spec: spec::project::ProjectSpec,
    sites: Option<Sites>,
    flows: Vec<Flow>,
) -> Option<Project> {
    let sites = sites?;
    let log = LogSettings {
        keep: spec.keep.map_or(Some(DEFAULT_KEEP), |keep| keep.value),
        max_bytes: spec.max_size.map(|size| size.value),
    };
    Some(Project {
        name: spec.name?.value,
        root: root.to_path_buf(),
        log,
        sites: sites.sites,
        groups: sites.groups,
        flows,
    })
}

/// Reads a file of the project; when it cannot be read, that is a problem.
fn open(root: &Path, path: &Path, problems: &mut Vec<Problem>) -> Option<SourceText> {
    match std::fs::read(root.join(path)).map(String::from_utf8) {
        Ok(Ok(text)) => Some(SourceText::new(path, text)),
        failed => {
            let found = match failed {
                Ok(_) => "it is not UTF-8 text".to_string(),
                Err(error) => why_unread(&error),
            };
            problems.push(
                Problem::error("E0102", format!("{} cannot be read", path.display()))
                    .at(Place { file: path.to_path_buf(), spot: None })
                    .found(found)
                    .effect("nothing runs without it")
                    .fix("create it as UTF-8 text, readable for this user"),
            );
            None
        }
    }
}

/// Reads `sites.toml` and its lists; `None` when names in it cannot be relied on.
fn read_sites(root: &Path, context: &Context<'_>, problems: &mut Vec<Problem>) -> Option<Sites> {
    let source = open(root, Path::new("sites.toml"), problems)?;
    let world = World {
        root,
        schemes: context.schemes,
        secrets: &context.secrets,
        found: Default::default(),
    };
    let specs = spec::sites::read(&source, context.options);
    let mut sites = specs.map(|specs| check_sites::resolve(&source, &specs, &world));
    // An entry that was left out would make every flow that names it wrong too.
    if source.has_errors() && sites.as_ref().is_some_and(|all| all.sites.is_empty()) {
        sites = None;
    }
    problems.extend(source.into_problems());
    let mut sites = sites?;
    for list in std::mem::take(&mut sites.lists) {
        problems.extend(list.into_problems());
    }
    Some(sites)
}

/// Reads the flows and checks them, each alone and all beside each other.
fn read_flows(root: &Path, sites: Option<&Sites>, problems: &mut Vec<Problem>) -> Vec<Draft> {
    let mut drafts = Vec::new();
    for path in flow_files(root, problems) {
        let Some(source) = open(root, &path, problems) else { continue };
        let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if !spec::form::is_name(&name) {
            source.report(
                Problem::error("E0108", "a flow's name is made of letters, digits, -, _ and .")
                    .at(source.whole())
                    .effect("nothing in this file is used")
                    .fix("rename the file"),
            );
        }
        let spec = spec::flow::read(&source);
        let flow = spec.as_ref().and_then(|s| check_flow::resolve(&source, &name, s, sites));
        if let (Some(spec), Some(flow), Some(sites)) = (&spec, &flow, sites) {
            masks::check_flow(&source, spec, flow, sites);
        }
        drafts.push(Draft { name, source, spec, flow });
    }
    across::check(&drafts);
    drafts
}

/// The flow files, by name. Files in other languages are refused: leaving one out would leave its rows behind.
fn flow_files(root: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(root.join("flows"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| Path::new("flows").join(entry.file_name()))
        .collect();
    names.sort();
    let extension = |path: &Path| path.extension().map(|e| e.to_string_lossy().to_lowercase());
    for path in &names {
        if matches!(extension(path).as_deref(), Some("yaml" | "yml" | "json")) {
            problems.push(
                Problem::error("E0390", "flow files in YAML and JSON are not built yet")
                    .at(Place { file: path.clone(), spot: None })
                    .effect("this flow would not run")
                    .fix("write it as TOML"),
            );
        }
    }
    names.retain(|path| extension(path).as_deref() == Some("toml"));
    if names.is_empty() {
        problems.push(
            Problem::warning("E0110", "this project has no flows")
                .at(Place { file: "flows".into(), spot: None })
                .effect("there is nothing to run")
                .fix("seamount init --from URL --to URL      # writes a first one"),
        );
    }
    names
}
