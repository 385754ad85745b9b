//! `seamount.toml` as it is written.

use super::form;
use super::section::{Section, parse};
use crate::source_text::{At, SourceText};
use std::time::Duration;

/// The project file.
#[derive(Debug, Default)]
pub struct ProjectSpec {
    /// `name`.
    pub name: Option<At<String>>,
    /// `[log] keep`; the inner `None` is "forever".
    pub keep: Option<At<Option<Duration>>>,
    /// `[log] max_size`, bytes.
    pub max_size: Option<At<u64>>,
}

/// Reads the project file; `None` when it is not TOML.
pub fn read(source: &SourceText) -> Option<ProjectSpec> {
    parse(source, |mut root| {
        let name = root.text("name", "\"retail\"");
        match &name {
            Some(name) if !form::is_name(&name.value) => {
                root.wrong_form(
                    "name",
                    &name.span,
                    "a name of letters, digits, - and _",
                    "\"retail\"",
                );
            }
            None if root.entry("name").is_none() => {
                root.missing("name", "\"retail\"", "the project has no name to call it by");
            }
            _ => {}
        }
        let log = root.section("log").map(read_log);
        root.accept(&["team", "state"]);
        root.without_effect("listen", "no console and no control port are opened");
        root.without_effect("notify", "nobody is told of alerts: watch `seamount status`");
        root.finish();
        let (keep, max_size) = log.unwrap_or_default();
        ProjectSpec { name, keep, max_size }
    })
}

/// How much of the log is kept.
type Log = (Option<At<Option<Duration>>>, Option<At<u64>>);

/// Reads `log`.
fn read_log(mut log: Section<'_>) -> Log {
    if let Some(kind) = log.text("kind", "\"embedded\"")
        && kind.value != "embedded"
    {
        let effect = "changes would be kept in another log than the one asked for";
        log.refuse_not_built("kind", &kind.span, effect, "kind = \"embedded\"");
    }
    let keep = log.formed("keep", "a time, or \"forever\"", "\"30d\"", |text| match text {
        "forever" => Some(None),
        text => form::duration(text).map(Some),
    });
    let max_size = log.formed("max_size", "a size", "\"50GB\"", form::size);
    log.finish();
    (keep, max_size)
}
