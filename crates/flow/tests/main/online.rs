//! Flows against sites that are only described.

use super::project::{INVENTORY, codes, read};
use change::{Column, ColumnType, TableSchema};
use connect::{Capabilities, Classified, Error, Result, RowTransform, Shape, SqlPlanner};
use seamount_flow::explain::{self, Example};
use seamount_flow::{Flow, FlowReport, Inspect, Mode, Problem, Project, check_online};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Sites that are what the test says.
#[derive(Clone)]
struct World {
    /// By site; `None`: nothing of this name.
    tables: BTreeMap<&'static str, Option<TableSchema>>,
    capabilities: Capabilities,
    /// Whether only keys of old rows are kept.
    forgetful: bool,
}

fn columns(names: &[(&str, ColumnType)], key: &[&str]) -> TableSchema {
    let columns = names.iter().map(|(name, ty)| Column::new(*name, *ty, !key.contains(name)));
    TableSchema::new(columns.collect(), key).unwrap()
}

fn inventory() -> TableSchema {
    let names =
        [("store_id", ColumnType::Text), ("sku", ColumnType::Int64), ("qty", ColumnType::Int64)];
    columns(&names, &["store_id", "sku"])
}

impl World {
    fn right() -> World {
        let capabilities = Capabilities {
            capture: true,
            old_images: true,
            transactional_target: true,
            staged_target: true,
            files: false,
        };
        let tables = [("paris", Some(inventory())), ("oslo", Some(inventory()))];
        World { tables: BTreeMap::from(tables), capabilities, forgetful: false }
    }

    fn everywhere(schema: &TableSchema) -> World {
        let tables = ["paris", "oslo"].map(|site| (site, Some(schema.clone())));
        World { tables: BTreeMap::from(tables), ..World::right() }
    }

    fn at(mut self, site: &'static str, schema: Option<TableSchema>) -> World {
        self.tables.insert(site, schema);
        self
    }

    fn with(mut self, change: impl Fn(&mut Capabilities)) -> World {
        change(&mut self.capabilities);
        self
    }
}

impl Inspect for World {
    fn describe(&mut self, site: &str, table: &str) -> Result<TableSchema> {
        let known = self.tables.get(site).cloned().flatten();
        known.ok_or_else(|| Error::invalid(format!("there is no table {table}")))
    }

    fn describe_files(
        &mut self,
        _: &str,
        _: &str,
        _: &BTreeMap<String, String>,
    ) -> Result<TableSchema> {
        let names = [("sku", ColumnType::Text), ("price", ColumnType::Text)];
        Ok(columns(&names, &[]))
    }

    fn keeps_old_rows(&mut self, _: &str, _: &str) -> Result<bool> {
        Ok(!self.forgetful)
    }

    fn capabilities(&self, _: &str) -> Capabilities {
        self.capabilities
    }
}

/// Understands `select a, b from t`, and takes `join` and `group by` for relational.
struct SimplePlanner;

impl SqlPlanner for SimplePlanner {
    fn classify(&self, sql: &str, tables: &[(String, TableSchema)]) -> Result<Classified> {
        let wanted = sql.strip_prefix("select ").and_then(|rest| rest.split_once(" from "));
        let (names, _) = wanted.ok_or_else(|| Error::invalid("it does not parse"))?;
        let find = |name: &str| {
            let column =
                tables.iter().find_map(|(_, t)| t.index_of(name).map(|i| t.columns()[i].clone()));
            column.ok_or_else(|| Error::invalid(format!("there is no column {name}")))
        };
        let output: Vec<Column> = names.split(", ").map(find).collect::<Result<_>>()?;
        let because =
            ["join", "group by"].into_iter().find(|word| sql.contains(word)).map(String::from);
        Ok(Classified {
            shape: if because.is_some() { Shape::Relational } else { Shape::RowWise },
            tables: tables.iter().map(|(name, _)| name.clone()).collect(),
            output: TableSchema::new(output, &[] as &[&str]).unwrap(),
            because,
        })
    }

    fn compile(
        &self,
        sql: &str,
        table: &str,
        input: &TableSchema,
        key: &[String],
    ) -> Result<Arc<dyn RowTransform>> {
        let tables = [(table.to_string(), input.clone())];
        let output = self.classify(sql, &tables)?.output;
        match output.with_key(key) {
            Ok(output) => Ok(Arc::new(Nothing(Arc::new(output)))),
            Err(_) => Err(Error::invalid("a key column does not come out")),
        }
    }
}

struct Nothing(Arc<TableSchema>);

impl RowTransform for Nothing {
    fn output(&self) -> &Arc<TableSchema> {
        &self.0
    }
    fn carried(&self) -> &[Option<usize>] {
        &[]
    }
    fn evaluate(
        &self,
        _: &arrow::array::RecordBatch,
    ) -> Result<(arrow::array::BooleanArray, arrow::array::RecordBatch)> {
        unreachable!("check runs nothing")
    }
}

fn project(changes: &[(&str, &str)]) -> Project {
    let mut text = INVENTORY.to_string();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let reading = read(&[("flows/inventory.toml", &text)]);
    reading.project.unwrap_or_else(|| panic!("{:#?}", reading.problems))
}

fn check(project: &Project, world: &World) -> (Vec<Problem>, FlowReport) {
    let flow: &Flow = &project.flows[0];
    check_online(project, flow, &mut world.clone(), &SimplePlanner)
}

fn sql(statement: &'static str) -> (&'static str, &'static str) {
    ("select store_id, sku, qty from inventory where qty is not null", statement)
}

/// A code, what is replaced in the flow, and the world that shows it.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, World);

#[test]
fn a_right_flow_runs_in_all_modes_and_says_what_it_promises() {
    let (problems, report) = check(&project(&[]), &World::right());
    assert_eq!(codes(&problems), Vec::<&str>::new());
    assert!(report.modes.iter().all(|mode| mode.runs), "{report:?}");
    assert!(
        report.modes[2].says.contains("effectively-once")
            && report.modes[2].says.contains("proved equal")
    );
    assert_eq!(report.shape, Some(Shape::RowWise));
    assert_eq!(report.targets[0].1, inventory());
}

#[test]
fn every_code_of_the_sites_is_brought_about() {
    let wide =
        [("store_id", ColumnType::Text), ("sku", ColumnType::Text), ("qty", ColumnType::Int64)];
    let other = columns(&wide, &["store_id", "sku"]);
    let keyless = columns(&wide, &[]);
    let batch = ("\"hybrid\"", "\"batch\"");
    let key = "key = [\"store_id\", \"sku\"]";
    let plain = (
        "[transform]\nsql = \"select store_id, sku, qty from inventory where qty is not null\"\n",
        "",
    );
    let cases: Vec<Case<'_>> = vec![
        ("E0401", vec![], World::right().at("oslo", None)),
        ("E0402", vec![(key, "key = [\"store_id\", \"article\"]")], World::right()),
        (
            "E0403",
            vec![plain, (key, "site_column = \"shop\""), ("\"store_id\"", "\"stored\"")],
            World::right(),
        ),
        ("E0404", vec![sql("select store_id, qty from inventory")], World::right()),
        ("E0405", vec![], World::right().at("oslo", Some(other))),
        ("E0406", vec![sql("select store_id, sku, qty from inventory group by x")], World::right()),
        (
            "E0410",
            vec![batch, plain, (key, ""), ("\"stores\"", "\"paris\"")],
            World::everywhere(&keyless),
        ),
        ("E0411", vec![sql("select from where")], World::right()),
        (
            "E0415",
            vec![plain, (key, "site_column = \"qty\""), ("owner = \"store_id\"", "")],
            World::right(),
        ),
        ("E0416", vec![], World::right().with(|c| c.capture = false)),
        ("E0416", vec![], World::right().with(|c| c.old_images = false)),
        ("E0416", vec![], World { forgetful: true, ..World::right() }),
        ("E0416", vec![batch], World::right().with(|c| c.staged_target = false)),
    ];
    let mut seen = BTreeSet::from(["E0408"]);
    for (code, changes, world) in cases {
        seen.insert(code);
        let (problems, _) = check(&project(&changes), &world);
        assert_eq!(codes(&problems), [code], "{changes:?}: {problems:#?}");
        assert!(problems[0].effect.is_some() && problems[0].fix.is_some(), "{problems:?}");
    }
    let files = "mode = \"batch\"\n[from]\nsites = \"drop\"\nfiles = \"{interval}.csv\"\nkey = [\"sku\"]\n[to]\nsite = \"central\"\ntable = \"prices\"\n[batch]\ninterval_by = \"day\"\n";
    let reading = read(&[("flows/inventory.toml", files)]);
    let (problems, report) = check(&reading.project.unwrap(), &World::right());
    assert_eq!(codes(&problems), ["E0408"]);
    assert!(!report.modes[0].runs && report.modes[0].says.contains("files"));
    let here = "flow: online::every_code_of_the_sites_is_brought_about";
    let promised = explain::all()
        .filter(|entry| matches!(entry.example, Example::Shown(test) if test == here));
    assert_eq!(promised.map(|entry| entry.code).collect::<BTreeSet<_>>(), seen);
}

#[test]
fn a_join_is_refused_in_event_mode_with_the_advice_to_trigger_it() {
    let changes = [("hybrid", "event"), sql("select store_id, sku, qty from inventory join x")];
    let (problems, report) = check(&project(&changes), &World::right());
    assert_eq!(codes(&problems), ["E0406"]);
    assert!(problems[0].found.as_ref().unwrap().contains("join"));
    let fix = problems[0].fix.as_ref().unwrap();
    assert!(fix.contains("mode = \"batch\"") && fix.contains("trigger"), "{fix}");
    let runs: Vec<(Mode, bool)> = report.modes.iter().map(|m| (m.mode, m.runs)).collect();
    assert_eq!(runs, [(Mode::Event, false), (Mode::Batch, true), (Mode::Hybrid, false)]);
}
