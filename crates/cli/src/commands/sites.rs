//! `sites`: what they are, whether they answer, what they hold. One broken site never hides the others.

use crate::args::{Global, Sites};
use crate::assemble::{connectors, project};
use crate::exit::{DONE, Failure, UNREACHABLE};
use crate::output::{Output, error_json};
use crate::time::counted;
use connect::component::Wanted;
use connect::{Connectors, Result as EdgeResult};
use flow::{Project, Site};
use serde_json::json;

pub(crate) fn run(global: &Global, what: Option<&Sites>, output: &Output) -> Result<u8, Failure> {
    let project = project(global, output)?;
    match what {
        None | Some(Sites::List) => Ok(list(&project, output)),
        Some(Sites::Test { site }) => test(&project, site.as_deref(), output),
        Some(Sites::Discover { site }) => discover(&project, site, output),
        Some(Sites::Grants { site }) => grants(&project, site, output),
    }
}

fn list(project: &Project, output: &Output) -> u8 {
    for group in project.groups.values() {
        output.object(&json!({ "type": "group", "group": group.name, "sites": group.sites }));
        output.line(&format!(
            "{:<20} group of {}",
            group.name,
            counted(group.sites.len() as u64, "site")
        ));
    }
    for site in project.sites.values() {
        output.object(&json!({
            "type": "site", "site": site.name, "kind": site.settings.scheme(), "group": site.group,
            "region": site.region, "timezone": site.timezone, "url": site.settings.url.to_string(),
        }));
        if site.group.is_none() {
            output.line(&format!("{:<20} {}", site.name, site.settings.scheme()));
        }
    }
    let text = counted(project.sites.len() as u64, "site");
    output.summary(&text, &[("sites", json!(project.sites.len()))]);
    DONE
}

fn one<'p>(project: &'p Project, name: &str) -> Result<&'p Site, Failure> {
    project.sites.get(name).ok_or_else(|| Failure::Usage(format!("there is no site {name}")))
}

fn test(project: &Project, name: Option<&str>, output: &Output) -> Result<u8, Failure> {
    let sites: Vec<&Site> = match name {
        Some(name) => vec![one(project, name)?],
        None => project.sites.values().collect(),
    };
    let known = connectors();
    let mut broken = 0;
    for site in &sites {
        match look(&known, site) {
            Ok(says) => {
                output.object(
                    &json!({ "type": "site", "site": site.name, "reachable": true, "says": says }),
                );
                if name.is_some() || sites.len() <= 20 {
                    output.line(&format!("{:<20} answers   {says}", site.name));
                }
            }
            Err(error) => {
                broken += 1;
                let mut object = error_json(&error);
                object["site"] = json!(site.name);
                output.object(&object);
                output.line(&format!("{:<20} BROKEN    {error}", site.name));
                if let Some(fix) = &error.fix {
                    output.line(&format!("{:<20}           fix: {fix}", ""));
                }
            }
        }
    }
    let text = match broken {
        0 => format!("{} answer", counted(sites.len() as u64, "site")),
        n => format!("{n} of {} do not answer", counted(sites.len() as u64, "site")),
    };
    output.summary(&text, &[("sites", json!(sites.len())), ("broken", json!(broken))]);
    Ok(if broken > 0 { UNREACHABLE } else { DONE })
}

fn look(known: &Connectors, site: &Site) -> EdgeResult<String> {
    let connector = known.of(&site.settings)?;
    let can = connector.capabilities();
    if can.files {
        connector.files(&site.settings)?.list("*")?;
        return Ok("a folder of files".into());
    }
    let mut opened = connector.readable(&site.settings)?;
    let tables = opened.tables()?;
    let captured = opened.cut()?.closing().is_some();
    let capture = match (can.capture, captured) {
        (false, _) => "cannot be captured",
        (true, true) => "captured",
        (true, false) => "can be captured",
    };
    Ok(format!("{}, {capture}", counted(tables.len() as u64, "table")))
}

fn discover(project: &Project, name: &str, output: &Output) -> Result<u8, Failure> {
    let site = one(project, name)?;
    let known = connectors();
    let mut opened = known.of(&site.settings)?.readable(&site.settings)?;
    let tables = opened.tables()?;
    for table in &tables {
        match opened.describe(table) {
            Ok(schema) => {
                let key: Vec<&str> = schema.key_names().collect();
                output.object(&json!({ "type": "table", "table": table, "schema": schema }));
                output.line(&format!(
                    "{table}  key {}",
                    if key.is_empty() { "none: cannot be captured".into() } else { key.join(", ") }
                ));
                for column in schema.columns() {
                    let null = if column.nullable { "" } else { " not null" };
                    output.line(&format!("    {:<24} {}{null}", column.name, column.ty));
                }
            }
            Err(error) => output.line(&format!("{table}  {error}")),
        }
    }
    output.summary(&format!("{name}: {}", counted(tables.len() as u64, "table")), &[]);
    Ok(DONE)
}

/// What flows want of a site, as statements.
fn grants(project: &Project, name: &str, output: &Output) -> Result<u8, Failure> {
    let site = one(project, name)?;
    let reading = || project.flows.iter().filter(|flow| flow.sites.iter().any(|s| s == name));
    let sources = |flow: &flow::Flow| -> Vec<String> {
        flow.tables.iter().map(|table| table.source.clone()).collect()
    };
    let read: Vec<String> = reading().flat_map(sources).collect();
    let captured: Vec<String> =
        reading().filter(|flow| flow.captures()).flat_map(sources).collect();
    let writing = project.flows.iter().filter(|flow| flow.target == name);
    let written: Vec<String> =
        writing.flat_map(|flow| flow.tables.iter().map(|table| table.target.clone())).collect();
    let wanted = Wanted { read: &read, captured: &captured, written: &written };
    let statements = connectors().of(&site.settings)?.grants(&site.settings, &wanted)?;
    for statement in &statements {
        output.line(statement);
        output.object(&json!({ "type": "grant", "site": name, "statement": statement }));
    }
    let text = match statements.len() {
        0 => format!("{name} has no logins"),
        n => format!("{name}: {}", counted(n as u64, "statement")),
    };
    output.summary(&text, &[("statements", json!(statements.len()))]);
    Ok(DONE)
}
