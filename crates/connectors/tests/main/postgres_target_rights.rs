//! What a login needs that writes: with no more than that everything works, and what is missing is said.

use crate::postgres_place::{
    Engine, Place, article, failure, publication, settings, stock, stored,
};
use change::{ColumnType, HolderId, RunId};
use connect::Kind;
use connect::component::Connector;
use connect::memory::sample::{keys, rows, shape, target_table, text};
use connect::read::KeyRange;
use connect::target::{Claim, Load, RowWork, Target, TargetTable};
use seamount_connectors::postgres::Postgres;
use servers::Cluster;

/// A login of its own for each database: roles are shared by all of them.
fn login(place: &Place, grants: &str) -> Box<dyn Target> {
    let role = format!("writer_{}", place.database);
    place.sql(&format!(
        "CREATE ROLE {role} LOGIN NOSUPERUSER; REVOKE TEMPORARY ON DATABASE {0} FROM PUBLIC",
        place.database
    ));
    place.sql(&grants.replace("ROLE", &role));
    let url = Cluster::shared().url(&place.database).replacen("seamount@", &format!("{role}@"), 1);
    Postgres::new("postgres").target(&settings(&url)).unwrap()
}

fn works(mut engine: Engine, table: &TargetTable) {
    engine.upsert(table, &[article(1, "nail"), article(2, "nut")]).unwrap();
    let more: Vec<_> = (1..2_000).map(|sku| article(sku, "bolt")).collect();
    let more = rows(&table.schema, &more);
    assert_eq!(engine.write(table, &RowWork::Upsert(more.clone())).unwrap(), 1_999);
    assert_eq!(engine.write(table, &RowWork::Insert(more)).unwrap(), 1_999);
    let mut transaction = engine.begin().unwrap();
    let keep = keys(&table.schema, &[vec![article(1, "")[0].clone()]]);
    assert_eq!(transaction.retain(table, &KeyRange::default(), &keep).unwrap(), 1_998);
    assert_eq!(transaction.clear(table).unwrap(), 1);
    transaction.commit(&[]).unwrap();
    for (run, load) in [(1, Load::Replace), (2, Load::Merge)] {
        let many: Vec<_> = (0..12_000).map(|sku| article(sku, "nail")).collect();
        engine.target.stage(RunId::mint(run), table, &rows(&table.schema, &many)).unwrap();
        engine.target.publish(&publication(run, load, &[(table, 12_000)])).unwrap();
        assert!(stored(engine.target.as_mut(), table) == many);
    }
    let take_over = Claim { holder: HolderId::mint(9), known: Vec::new(), take_over: true };
    engine.target.claim(&take_over).unwrap();
}

#[test]
fn a_login_writes_tables_of_others_with_row_rights_alone() {
    let place = Place::new();
    place.sql("CREATE TABLE stock (sku bigint PRIMARY KEY, name text)");
    let grants = "CREATE SCHEMA _seamount AUTHORIZATION ROLE;
                  GRANT SELECT, INSERT, UPDATE, DELETE ON stock TO ROLE";
    works(Engine::opened(login(&place, grants), &[stock()]), &stock());
    assert_eq!(place.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'stock'"), "seamount");
}

/// COPY knows no policies of rows: rows go in by statements there.
#[test]
fn a_login_writes_tables_with_policies_of_rows() {
    let place = Place::new();
    place.sql(
        "CREATE TABLE stock (sku bigint PRIMARY KEY, name text);
         ALTER TABLE stock ENABLE ROW LEVEL SECURITY;
         CREATE POLICY p ON stock USING (sku >= 0);
         CREATE TABLE lines (name text); ALTER TABLE lines ENABLE ROW LEVEL SECURITY;
         CREATE POLICY p ON lines USING (name <> 'x');",
    );
    let grants = "CREATE SCHEMA _seamount AUTHORIZATION ROLE;
                  GRANT SELECT, INSERT, UPDATE, DELETE ON stock, lines TO ROLE";
    let lines = target_table("lines", &shape(&[("name", ColumnType::Text)], &[]));
    let mut engine = Engine::opened(login(&place, grants), &[stock(), lines.clone()]);
    let many = vec![vec![text("nail")]; 300];
    let work = RowWork::Insert(rows(&lines.schema, &many));
    assert_eq!(engine.write(&lines, &work).unwrap(), 300);
    works(engine, &stock());
}

#[test]
fn a_login_makes_tables_where_it_may() {
    let place = Place::new();
    let grants = format!("GRANT CREATE ON DATABASE {} TO ROLE", place.database);
    let table = target_table("shop.stock", &stock().schema);
    works(Engine::opened(login(&place, &grants), std::slice::from_ref(&table)), &table);
}

#[test]
fn rights_that_are_missing_are_said() {
    let place = Place::new();
    place.sql("CREATE TABLE stock (sku bigint PRIMARY KEY, name text)");
    let mut target = login(&place, "");
    let missing = failure(target.prepare(&[stock()]));
    assert_eq!(missing.kind, Kind::Invalid);
    assert!(missing.fix.unwrap().contains("_seamount"));
    let role = format!("writer_{}", place.database);
    place.sql(&format!("CREATE SCHEMA _seamount AUTHORIZATION {role}"));
    let mut engine = Engine::opened(target, &[stock()]);
    let missing = failure(engine.upsert(&stock(), &[article(1, "nail")]));
    assert_eq!(missing.kind, Kind::Invalid);
    assert!(missing.found.unwrap().contains("stock"));
}

/// Whoever may make a function in `public` would have had it run by us, with our rights.
#[test]
fn functions_that_strangers_left_in_public_are_not_run() {
    let place = Place::new();
    let trap = "RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'trapped'; END $$";
    place.sql(&format!(
        "CREATE FUNCTION public.current_setting(text) {trap};
         CREATE FUNCTION public.format_type(oid, integer) {trap};
         CREATE FUNCTION public.starts_with(text, text) {trap}"
    ));
    works(Engine::at(&place, &[stock()]), &stock());
}
