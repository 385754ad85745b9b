//! New projects load as they were written, and a definition changes exactly with what a generation stands for.

use super::project::{INVENTORY, codes, read, read_at};
use change::{Column, ColumnType, TableSchema};
use seamount_flow::fingerprint::definition;
use seamount_flow::init::{InitFrom, init};
use seamount_flow::{Flow, Mode};

#[test]
fn a_new_project_loads_without_a_word() {
    let columns = vec![
        Column::new("sku", ColumnType::Text, false),
        Column::new("a\nb", ColumnType::Any, true),
    ];
    let keyed = TableSchema::new(columns.clone(), &["sku"]).unwrap();
    let keyless = TableSchema::new(columns, &[] as &[&str]).unwrap();
    let from = InitFrom {
        url: "sqlite:data/shop \"1\".db".into(),
        tables: vec![("prices".into(), keyed), ("odd \"name\"".into(), keyless)],
    };
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("flows")).unwrap();
    for (path, text) in init("my shop", Some(&from), Some("sqlite:central.db")) {
        std::fs::write(dir.path().join(path), text).unwrap();
    }
    let reading = read_at(dir.path());
    assert_eq!(codes(&reading.problems), Vec::<&str>::new());
    let project = reading.project.unwrap();
    assert_eq!(project.sites["source"].settings.url.plain(), Some("sqlite:data/shop \"1\".db"));
    let flows: Vec<(&str, &str, Mode)> = project
        .flows
        .iter()
        .map(|f| (f.name.as_str(), f.tables[0].source.as_str(), f.mode))
        .collect();
    assert_eq!(
        flows,
        [("odd__name_", "odd \"name\"", Mode::Batch), ("prices", "prices", Mode::Hybrid)]
    );
    assert!(std::fs::read_to_string(dir.path().join(".gitignore")).unwrap().contains(".seamount"));
}

fn flow(from: &str, to: &str) -> Flow {
    assert!(INVENTORY.contains(from));
    let reading = read(&[("flows/inventory.toml", &INVENTORY.replacen(from, to, 1))]);
    reading.project.unwrap_or_else(|| panic!("{:#?}", reading.problems)).flows.remove(0)
}

#[test]
fn a_definition_changes_with_mode_transform_key_and_target_only() {
    let original = definition(&flow("", ""));
    for (from, to) in [
        ("\"hybrid\"", "\"batch\""),
        ("qty is not null", "qty > 0"),
        ("[\"store_id\", \"sku\"]", "[\"sku\", \"store_id\"]"),
        ("site = \"central\"", "site = \"central\"\ntable = \"stock\""),
        ("key = ", "new_columns = \"ignore\"\nkey = "),
    ] {
        assert_ne!(definition(&flow(from, to)), original, "{to}");
    }
    for (from, to) in [
        ("\"hybrid\"", "\"event\""),
        ("about = \"Stock of every store\"\n", ""),
        ("\"0 1 * * *\"", "\"@hourly\""),
        ("max_rows = 500", "max_rows = 5"),
        ("sites = \"stores\"", "sites = \"paris\""),
        ("max_lag = \"30s\"", "max_lag = \"1m\""),
    ] {
        assert_eq!(definition(&flow(from, to)), original, "{to}");
    }
}
