//! Control S4 on PostgreSQL: what `sites grants` prints is enough, and the login has nothing more.

use crate::postgres_site::Database;
use change::{ColumnType, FlowId, Generation, HolderId, Value};
use connect::component::{Connector, Wanted};
use connect::log::Bounds;
use connect::memory::sample::{rows, shape, target_table, text};
use connect::source::{ReadRequest, Resume};
use connect::target::{Claim, RowWork};
use connect::{Kind, SiteSettings};
use seamount_connectors::postgres::Postgres;

/// The same database by a login that has nothing.
fn poor(database: &Database) -> SiteSettings {
    let login = format!("poor_{}", database.name);
    database.sql(&format!("CREATE ROLE {login} LOGIN; REVOKE ALL ON SCHEMA public FROM PUBLIC"));
    let mut settings = database.settings();
    let port = database.cluster.port();
    settings.url = format!("postgres://{login}@127.0.0.1:{port}/{}", database.name).into();
    settings
}

fn grant(database: &Database, settings: &SiteSettings, wanted: &Wanted<'_>) {
    let statements = Postgres::new("postgres").grants(settings, wanted).unwrap();
    statements.iter().for_each(|statement| {
        database.sql(statement);
    });
}

#[test]
fn postgres_grants_of_a_source_are_enough_and_no_more() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE stock (id int PRIMARY KEY, qty int); CREATE TABLE wages (id int PRIMARY KEY)",
    );
    database.sql("INSERT INTO stock VALUES (1, 2)");
    let settings = poor(&database);
    let tables = ["stock".to_string()];
    let connector = Postgres::new("postgres");
    let capture =
        |settings: &SiteSettings| connector.source(settings)?.capture(&tables, &Resume::Fresh);
    let refused = capture(&settings).err().unwrap();
    assert_eq!(refused.kind, Kind::Invalid, "{refused:?}");

    grant(&database, &settings, &Wanted { read: &tables, captured: &tables, written: &[] });
    let mut reader = capture(&settings).unwrap();
    let snapshot = ReadRequest::Snapshot {
        table: "stock".into(),
        id: change::SnapshotId::mint(1),
        after: None,
    };
    reader.request(snapshot).unwrap();
    database.sql("UPDATE stock SET qty = 3");
    let mut changes = 0;
    while changes < 2 {
        changes += reader.poll(Bounds::BATCH).unwrap().map_or(0, |group| group.changes());
    }
    let mut site = connector.readable(&settings).unwrap();
    let wages = connect::read::Scan::all("wages", site.describe("wages").unwrap());
    assert_eq!(wages.collect(site.cut().unwrap().as_mut()).unwrap_err().kind, Kind::Invalid);
}

#[test]
fn postgres_grants_of_a_target_are_enough() {
    let database = Database::new();
    let settings = poor(&database);
    grant(&database, &settings, &Wanted { written: &["item".into()], ..Wanted::default() });
    let mut target = Postgres::new("postgres").target(&settings).unwrap();
    let schema = shape(&[("id", ColumnType::Int64), ("name", ColumnType::Text)], &["id"]);
    let table = target_table("item", &schema);
    target.prepare(std::slice::from_ref(&table)).unwrap();
    target.claim(&Claim { holder: HolderId::mint(1), known: vec![], take_over: false }).unwrap();
    let (flow, generation) = (FlowId::mint(1), Generation::mint(1));
    target.adopt(flow, generation).unwrap();
    let mut transaction = target.begin(flow, generation).unwrap();
    let batch = rows(&table.schema, &[vec![Value::Int(1), text("a")]]);
    transaction.write(&table, &RowWork::Upsert(batch)).unwrap();
    transaction.commit(&[]).unwrap();
    assert_eq!(database.sql("SELECT count(*) FROM item"), "1");
}
