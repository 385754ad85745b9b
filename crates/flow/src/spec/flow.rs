//! `flows/*.toml` as it is written: the whole file, `[from]` and `[to]`.
//!
//! Sections that the flow's mode does not use are read and checked in form all the same: changing the mode is
//! changing one word.

use super::flow_parts::{self, BatchSpec, EventsSpec, ReconcileSpec};
use super::form;
use super::section::{Section, parse};
use crate::flow::{Mode, NewColumns, Writer};
use crate::source_text::{At, SourceText};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// A flow file.
#[derive(Debug, Default)]
pub struct FlowSpec {
    /// `mode`.
    pub mode: Option<At<Mode>>,
    /// `about`.
    pub about: Option<At<String>>,
    /// `[from]`.
    pub from: FromSpec,
    /// `[to]`.
    pub to: ToSpec,
    /// `[transform] sql`.
    pub transform: Option<At<String>>,
    /// `[events]`.
    pub events: EventsSpec,
    /// `[batch]`.
    pub batch: BatchSpec,
    /// `[reconcile]`.
    pub reconcile: ReconcileSpec,
    /// `[needs] max_staleness`.
    pub max_staleness: Option<At<Duration>>,
}

/// `[from]`.
#[derive(Debug, Default)]
pub struct FromSpec {
    /// Where the section begins.
    pub head: Option<Range<usize>>,
    /// `sites`: names of sites and groups.
    pub sites: Vec<At<String>>,
    /// `table`.
    pub table: Option<At<String>>,
    /// `tables`.
    pub tables: Option<At<Vec<At<String>>>>,
    /// `files`.
    pub files: Option<At<String>>,
    /// Whether `query` is there; it is refused.
    pub query: bool,
    /// `types`.
    pub types: BTreeMap<String, String>,
    /// `key`.
    pub key: Option<At<Vec<At<String>>>>,
    /// `site_column`.
    pub site_column: Option<At<String>>,
    /// `new_columns`.
    pub new_columns: Option<At<NewColumns>>,
}

/// `[to]`.
#[derive(Debug, Default)]
pub struct ToSpec {
    /// Where the section begins.
    pub head: Option<Range<usize>>,
    /// `site`.
    pub site: Option<At<String>>,
    /// `table`.
    pub table: Option<At<String>>,
    /// `owner`.
    pub owner: Option<At<String>>,
    /// `writer`.
    pub writer: Option<At<Writer>>,
}

/// The mode words.
const MODES: &[(&str, Mode)] =
    &[("event", Mode::Event), ("batch", Mode::Batch), ("hybrid", Mode::Hybrid)];

/// Reads a flow file; `None` when it is not TOML.
pub fn read(source: &SourceText) -> Option<FlowSpec> {
    parse(source, |mut root| {
        let mode = root.word("mode", MODES);
        if mode.is_none() && root.entry("mode").is_none() {
            root.missing("mode", "\"event\"", "the flow does not say how it moves");
        }
        let about = root.text("about", "\"Stock of every store in one central table\"");
        let from = root.section("from").map(read_from);
        if from.is_none() && root.entry("from").is_none() {
            root.missing(
                "from",
                "{ sites = \"...\", table = \"...\" }",
                "there is nothing to move",
            );
        }
        let to = root.section("to").map(read_to);
        if to.is_none() && root.entry("to").is_none() {
            root.missing("to", "{ site = \"...\" }", "there is nowhere to move it");
        }
        let transform = root.section("transform").and_then(read_transform);
        let events = root.section("events").map(flow_parts::read_events).unwrap_or_default();
        let batch = root.section("batch").map(flow_parts::read_batch).unwrap_or_default();
        let reconcile =
            root.section("reconcile").map(flow_parts::read_reconcile).unwrap_or_default();
        let contract_effect = "rows that break the contract would be moved";
        root.not_built("contract", contract_effect, "remove the section until it is built");
        let max_staleness = root.section("needs").and_then(read_needs);
        root.finish();
        let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
        FlowSpec { mode, about, from, to, transform, events, batch, reconcile, max_staleness }
    })
}

/// Reads `[from]`.
fn read_from(mut from: Section<'_>) -> FromSpec {
    let sites = read_sites(&mut from);
    let table = from.text("table", "\"inventory\"");
    let tables = from.texts("tables", "[\"inventory\", \"prices\"]");
    let files = from.text("files", "\"export/{interval}.csv\"");
    let query = from.entry("query").is_some();
    from.not_built(
        "query",
        "a query's rows would be taken for a table's",
        "name tables in `tables`, and put the statement into [transform] sql",
    );
    let types = from.section("types").map(|types| read_types(&types)).unwrap_or_default();
    let key = from.texts("key", "[\"store_id\", \"sku\"]");
    let site_column = from.text("site_column", "\"store_id\"");
    from.not_built(
        "order_by",
        "older rows could overwrite newer ones where the lane has no order of its own",
        "remove it: SQLite lanes are ordered",
    );
    let words =
        [("add", NewColumns::Add), ("ignore", NewColumns::Ignore), ("stop", NewColumns::Stop)];
    let new_columns = from.word("new_columns", &words);
    let head = from.head();
    from.finish();
    FromSpec { head, sites, table, tables, files, query, types, key, site_column, new_columns }
}

/// Reads `sites`: one name, or a list of names.
fn read_sites(from: &mut Section<'_>) -> Vec<At<String>> {
    let Some((_, value)) = from.entry("sites") else {
        from.missing("sites", "\"stores\"", "there is nowhere to read from");
        return vec![];
    };
    if value.get_ref().is_table() {
        let effect = "the flow would read other sites than those meant";
        from.refuse_not_built(
            "sites = { labels }",
            &value.span(),
            effect,
            "name a site or a group",
        );
        return vec![];
    }
    if value.get_ref().is_array() {
        return from
            .texts("sites", "[\"paris\", \"oslo\"]")
            .map(|list| list.value)
            .unwrap_or_default();
    }
    from.as_text("sites", value, "\"stores\"").into_iter().collect()
}

/// Reads `types`: column types of delimited text.
fn read_types(types: &Section<'_>) -> BTreeMap<String, String> {
    let mut read = BTreeMap::new();
    let example = "\"decimal(12,4)\"";
    for (column, value) in types.entries() {
        let Some(text) = types.as_text(&column.value, value, example) else { continue };
        if form::column_type(&text.value).is_none() {
            let expected =
                "bool, int64, float64, decimal(P,S), text, bytes, date, timestamp or instant";
            types.wrong_form(&column.value, &text.span, expected, example);
        }
        read.insert(column.value, text.value);
    }
    read
}

/// Reads `[to]`.
fn read_to(mut to: Section<'_>) -> ToSpec {
    let site = to.text("site", "\"central\"");
    let fan_out = to.entry("sites").is_some();
    to.not_built(
        "sites",
        "only one site could be written; the others would stay behind",
        "write one flow for each target, with `site = \"...\"`",
    );
    if site.is_none() && !fan_out && to.entry("site").is_none() {
        to.missing("site", "\"central\"", "there is nowhere to write to");
    }
    let table = to.text("table", "\"inventory\"");
    let owner = to.text("owner", "\"store_id\"");
    let writer = to.word("writer", &[("other", Writer::Other), ("flow", Writer::Flow)]);
    let head = to.head();
    to.finish();
    ToSpec { head, site, table, owner, writer }
}

/// Reads `[transform]`.
fn read_transform(mut transform: Section<'_>) -> Option<At<String>> {
    let sql = transform.text("sql", "\"select store_id, sku, qty from inventory\"");
    if sql.is_none() && transform.entry("sql").is_none() {
        let effect = "rows would be moved as they are";
        transform.missing("sql", "\"select store_id, sku, qty from inventory\"", effect);
    }
    transform.finish();
    sql
}

/// Reads `[needs]`: answers for the advisor; only the staleness is used yet.
fn read_needs(mut needs: Section<'_>) -> Option<At<Duration>> {
    let staleness = needs.formed("max_staleness", "a time", "\"30s\"", form::duration);
    needs.accept(&["criticality", "cost_of_failure", "consistency", "customer_facing"]);
    needs.accept(&["consumers_take_duplicates", "existing_batch", "regulatory_window", "owner"]);
    needs.accept(&["peak_volume", "transform_complexity", "team_maturity"]);
    needs.finish();
    staleness
}
