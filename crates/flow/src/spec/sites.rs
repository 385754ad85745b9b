//! `sites.toml` as it is written.

use super::section::{Raw, Section, parse};
use super::{form, masks};
use crate::diagnostic::Problem;
use crate::source_text::{At, SourceText};
use change::mask::TableMask;
use std::collections::BTreeMap;
use std::ops::Range;
use toml::de::DeValue;

/// One entry: a site, or a group when it has `each_in`.
#[derive(Debug)]
pub struct SiteSpec {
    /// The name of the site or group.
    pub name: At<String>,
    /// `url`.
    pub url: Option<At<String>>,
    /// `each_in`: a list of sites.
    pub each_in: Option<At<String>>,
    /// `region`.
    pub region: Option<At<String>>,
    /// `timezone`.
    pub timezone: Option<At<String>>,
    /// `mask`: by table, what becomes of its columns.
    pub masks: Vec<TableMask>,
    /// Where the masks stand.
    pub mask_at: Option<Range<usize>>,
    /// Everything else, for the connector.
    pub options: BTreeMap<String, At<String>>,
}

/// Keys with a meaning of their own, for every kind of site.
const OWN_KEYS: &[&str] = &["url", "each_in", "region", "timezone", "labels", "mask"];

/// Reads the sites; `None` when the file is not TOML. `options` are the further keys that connectors know; when it
/// is empty, any is passed on.
pub fn read(source: &SourceText, options: &[&str]) -> Option<Vec<SiteSpec>> {
    parse(source, |root| {
        let mut sites = Vec::new();
        for (name, value) in root.entries() {
            if !form::is_name(&name.value) {
                source.report(
                    Problem::error("E0108", "a site's name is made of letters, digits, -, _ and .")
                        .at(source.place(&name.span, "this cannot name a site"))
                        .effect("nothing in this file is used")
                        .fix("choose another name"),
                );
            } else if let Some(section) = root.below(&name.value, name.span.clone(), value) {
                sites.push(read_site(name, section, options));
            }
        }
        sites
    })
}

/// Reads one entry.
fn read_site(name: At<String>, mut section: Section<'_>, options: &[&str]) -> SiteSpec {
    let url = section.text("url", "\"sqlite:data/shop.db\"");
    if url.is_none() && section.entry("url").is_none() {
        let effect = format!("`{}` cannot be reached", name.value);
        section.missing("url", "\"sqlite:data/shop.db\"", &effect);
    }
    let each_in = section.text("each_in", "\"stores.csv\"");
    let region = section.text("region", "\"eu-west\"");
    let timezone = section.text("timezone", "\"Europe/Berlin\"");
    let mask_at = section.entry("mask").map(|(span, _)| span);
    let masks = section.section("mask").map(|tables| masks::read(&tables)).unwrap_or_default();
    section.accept(&["labels"]);
    let mut passed = BTreeMap::new();
    for (key, value) in section.entries() {
        if OWN_KEYS.contains(&key.value.as_str()) || !is_option(&section, &key, options) {
            continue;
        }
        if let Some(text) = option_text(&section, &key.value, value) {
            passed.insert(key.value, text);
        }
    }
    SiteSpec { name, url, each_in, region, timezone, masks, mask_at, options: passed }
}

/// Whether a key may be passed on to the connector; if not, it is reported.
fn is_option(section: &Section<'_>, key: &At<String>, options: &[&str]) -> bool {
    let open = options.is_empty();
    let known = OWN_KEYS.iter().chain(options).copied();
    let meant = crate::suggest::nearest(&key.value, known);
    if options.contains(&key.value.as_str()) || (open && meant.is_none()) {
        return true;
    }
    let label = meant.map_or("no connector knows it".into(), |m| format!("did you mean `{m}`?"));
    let source = section.source();
    let problem = Problem::error("E0104", format!("unknown key `{}`", section.dotted(&key.value)))
        .at(source.place(&key.span, label))
        .effect("it would be ignored, and the site would be used in another way than asked");
    source.report(match meant {
        Some(meant) => problem.fix(format!("write `{meant}`")),
        None => problem.fix("remove it"),
    });
    false
}

/// An option's value as text: connectors read texts, numbers and truths.
fn option_text(section: &Section<'_>, key: &str, value: Raw<'_>) -> Option<At<String>> {
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => number.to_string(),
            Err(_) => {
                section.wrong_form(key, &value.span(), "a number that fits in 64 bits", "5000");
                return None;
            }
        },
        _ => {
            section.wrong_type(key, value, "a text, a number or true or false", "\"...\"");
            return None;
        }
    };
    Some(At::new(text, value.span()))
}
