//! Sites and groups: lists read, columns and secrets filled in, names unique.

use super::masks;
use super::template::{self, TemplateError};
use super::times::unknown_zone;
use crate::diagnostic::Problem;
use crate::flow::{Group, Site};
use crate::schedule::zone;
use crate::source_text::{At, SourceText, why_unread};
use crate::spec::form;
use crate::spec::sites::SiteSpec;
use change::mask::Masks;
use connect::redact::{names_secret, only_references, password_in_url};
use connect::{Reference, Secrets, Setting, SiteSettings};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

/// What sites are checked against.
pub(crate) struct World<'a> {
    /// The project's folder.
    pub(crate) root: &'a Path,
    /// The url schemes that connectors answer to.
    pub(crate) schemes: &'a [&'a str],
    /// Where secrets come from.
    pub(crate) secrets: &'a Arc<dyn Secrets>,
    /// Those that were there.
    pub(crate) found: template::Found,
}

/// Sites and groups that were resolved, and the lists that were read for it.
#[derive(Default)]
pub(crate) struct Sites {
    /// Sites by name.
    pub(crate) sites: BTreeMap<String, Site>,
    /// Groups by name.
    pub(crate) groups: BTreeMap<String, Group>,
    /// The lists, with their problems.
    pub(crate) lists: Vec<SourceText>,
}

/// One site to be: its name, where it is written, and the row it comes from.
struct Draft<'a> {
    spec: &'a SiteSpec,
    name: String,
    columns: BTreeMap<String, String>,
}

/// Resolves all entries.
pub(crate) fn resolve(source: &SourceText, specs: &[SiteSpec], world: &World<'_>) -> Sites {
    let mut all = Sites::default();
    for spec in specs {
        check_secrets(source, spec);
        let Some(each_in) = &spec.each_in else {
            let draft = Draft { spec, name: spec.name.value.clone(), columns: BTreeMap::new() };
            let site = resolve_site(source, &draft, None, world);
            all.add(source, &spec.name.span, site);
            continue;
        };
        let members = resolve_group(source, spec, each_in, world, &mut all);
        let group = Group { name: spec.name.value.clone(), sites: members };
        all.groups.insert(group.name.clone(), group);
    }
    for name in all.groups.keys() {
        let Some(site) = all.sites.get(name) else { continue };
        let Some(spec) = specs.iter().find(|s| s.name.value == *name) else { continue };
        let owner = site.group.as_deref().unwrap_or("another entry");
        source.report(
            Problem::error("E0202", format!("`{name}` is a group and a site"))
                .at(source.place(&spec.name.span, format!("also a site of {owner}")))
                .effect("a flow that names it could mean either")
                .fix("rename the group"),
        );
    }
    all
}

impl Sites {
    /// Adds a site, whose name must be new.
    fn add(&mut self, source: &SourceText, span: &Range<usize>, site: Site) {
        if let Some(other) = self.sites.get(&site.name) {
            let whose = other.group.as_ref().map_or("sites.toml".into(), |g| format!("group {g}"));
            source.report(
                Problem::error("E0202", format!("there are two sites `{}`", site.name))
                    .at(source.place(span, format!("the other is in {whose}")))
                    .effect("rows of two places would count as those of one")
                    .fix("give one of them another name"),
            );
            return;
        }
        self.sites.insert(site.name.clone(), site);
    }
}

/// Reads a group's list and resolves a site for each line; returns their names in its order.
fn resolve_group(
    source: &SourceText,
    spec: &SiteSpec,
    each_in: &At<String>,
    world: &World<'_>,
    all: &mut Sites,
) -> Vec<String> {
    let mut members = Vec::new();
    let text = match std::fs::read_to_string(world.root.join(&each_in.value)) {
        Ok(text) => text,
        Err(error) => {
            source.report(
                Problem::error(
                    "E0205",
                    format!("the list of `{}` cannot be read", spec.name.value),
                )
                .at(source.place(&each_in.span, "this file"))
                .found(why_unread(&error))
                .effect("none of its sites is known")
                .fix(format!("create {} with the columns site and host", each_in.value)),
            );
            return members;
        }
    };
    let list = SourceText::new(&each_in.value, text);
    let rows = super::stores::read(&list);
    for (line, columns) in &rows {
        let name = columns.get("site").cloned().unwrap_or_default();
        let span = list.line_span(*line);
        if let Some(timezone) = columns.get("timezone").filter(|tz| !tz.is_empty())
            && zone(timezone).is_none()
        {
            let at = At::new(timezone.clone(), span.clone());
            unknown_zone(&list, &at, "schedules of this site would run at another time");
        }
        members.push(name.clone());
        let draft = Draft { spec, name, columns: columns.clone() };
        let site = resolve_site(source, &draft, Some(&spec.name.value), world);
        all.add(&list, &span, site);
    }
    if rows.is_empty() && !list.has_errors() {
        source.report(
            Problem::error("E0207", format!("the group `{}` is empty", spec.name.value))
                .at(source.place(&each_in.span, "this list has no line below its header"))
                .effect("flows over it would move nothing and look healthy")
                .fix(format!("add a line for each site to {}", each_in.value)),
        );
    }
    all.lists.push(list);
    members
}

/// Fills in one site. What cannot be filled in is reported and left as it is.
fn resolve_site(
    source: &SourceText,
    draft: &Draft<'_>,
    group: Option<&str>,
    world: &World<'_>,
) -> Site {
    let spec = draft.spec;
    let fill = |text: &At<String>| match template::fill(
        &text.value,
        &draft.columns,
        world.root,
        world.secrets,
        &world.found,
    ) {
        Ok(filled) => filled,
        Err(error) => {
            report_template(source, text, &spec.name.value, error);
            Setting::from(text.value.as_str())
        }
    };
    let column = |name: &str| draft.columns.get(name).filter(|value| !value.is_empty()).cloned();
    if let Some(timezone) = &spec.timezone
        && zone(&timezone.value).is_none()
    {
        unknown_zone(source, timezone, "schedules of this site would run at another time");
    }
    let own = ["site", "region", "timezone"];
    let columns = draft.columns.iter();
    let mut options: BTreeMap<String, Setting> = columns
        .filter(|(name, value)| !own.contains(&name.as_str()) && !value.is_empty())
        .map(|(name, value)| (name.clone(), Setting::from(value.as_str())))
        .collect();
    for (key, value) in &spec.options {
        options.insert(key.clone(), fill(value));
    }
    let settings = SiteSettings {
        site: draft.name.clone(),
        url: spec.url.as_ref().map(fill).unwrap_or_default(),
        root: world.root.to_path_buf(),
        options,
        masks: Masks::new(spec.masks.iter().cloned()),
    };
    if let Some(url) = &spec.url {
        check_scheme(source, url, &settings, world);
    }
    let site = Site {
        name: draft.name.clone(),
        settings,
        group: group.map(String::from),
        timezone: column("timezone").or_else(|| spec.timezone.as_ref().map(|t| t.value.clone())),
        region: column("region").or_else(|| spec.region.as_ref().map(|r| r.value.clone())),
    };
    masks::check_site(source, spec, &site);
    site
}

/// Refuses passwords that are written down.
fn check_secrets(source: &SourceText, spec: &SiteSpec) {
    let literal = |span: &Range<usize>, what: String| {
        source.report(
            Problem::error("E0204", what)
                .at(source.place(span, "a secret written down"))
                .effect("everybody who can read this file can read that database")
                .fix("${env:NAME} or ${file:/run/secrets/name} in its place"),
        );
    };
    if let Some(url) = &spec.url
        && let Some(place) = password_in_url(&url.value)
        && !only_references(&url.value[place.clone()])
    {
        let written = &url.value[place];
        let raw = &source.text()[url.span.clone()];
        let span = raw
            .rfind(written)
            .map_or(url.span.clone(), |n| url.span.start + n..url.span.start + n + written.len());
        literal(&span, format!("the url of `{}` holds a password", spec.name.value));
    }
    for (key, value) in &spec.options {
        if names_secret(key) && !only_references(&value.value) {
            literal(&value.span, format!("`{}.{key}` is written down", spec.name.value));
        }
    }
}

/// Reports a reference that could not be followed.
fn report_template(source: &SourceText, text: &At<String>, site: &str, error: TemplateError) {
    let problem = match error {
        TemplateError::UnknownColumn(name, known) => {
            let meant = crate::suggest::nearest(&name, known.iter().map(String::as_str));
            let label =
                meant.map_or("no such column".into(), |m| format!("did you mean `{{{m}}}`?"));
            let found = match known.is_empty() {
                true => {
                    "columns come from the list in `each_in`; a single site has none".to_string()
                }
                false => format!("the list has {}", known.join(", ")),
            };
            Problem::error("E0208", format!("`{{{name}}}` cannot be filled in"))
                .at(source.place(&text.span, label))
                .found(found)
                .fix("name a column of the list")
        }
        TemplateError::Malformed(what) => Problem::error("E0208", "the braces here cannot be read")
            .at(source.place(&text.span, what))
            .fix("write {column}, ${env:NAME} or ${file:/path}"),
        TemplateError::NoSecret(reference, why) => {
            let what = match why.code {
                Some("E0209") => format!("the secret `{reference}` of {site} is not there"),
                _ => why.what,
            };
            Problem::error(why.code.unwrap_or("E0209"), what)
                .at(source.place(&text.span, "needed here"))
                .found(why.found.unwrap_or_default())
                .fix(match (&reference, why.code) {
                    (Reference::Env(name), Some("E0209")) => format!("export {name}=..."),
                    (_, Some("E0209")) => "create the file, readable for this user only".into(),
                    _ => why.fix.unwrap_or_default(),
                })
        }
    };
    source.report(problem.effect("the site could not be opened"));
}

/// Checks the url's scheme.
fn check_scheme(source: &SourceText, url: &At<String>, site: &SiteSettings, world: &World<'_>) {
    if world.schemes.contains(&site.scheme().as_str()) {
        return;
    }
    let scheme = site.shown_scheme();
    let meant = crate::suggest::nearest(scheme, world.schemes.iter().copied());
    let label = match meant {
        Some(meant) => format!("did you mean `{meant}:`?"),
        None => "no connector answers to this".to_string(),
    };
    let known: Vec<String> = world.schemes.iter().map(|s| format!("{s}:")).collect();
    let shown = if form::is_name(scheme) { format!("`{scheme}:`") } else { "no known kind".into() };
    source.report(
        Problem::error("E0203", "the url is of an unknown kind")
            .at(source.place(&url.span, label))
            .found(format!("{shown}; known are {}", known.join(", ")))
            .effect("the site could not be opened")
            .fix(format!("url = \"{}...\"", known.first().map_or("", String::as_str))),
    );
}
