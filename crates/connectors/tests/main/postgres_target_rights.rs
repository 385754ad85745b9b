//! What a login needs that writes: with no more than that everything works, and what is missing is said.

use crate::postgres_place::{
    Engine, Place, article, failure, publication, settings, stock, stored,
};
use change::{HolderId, RunId};
use connect::Kind;
use connect::component::Connector;
use connect::memory::sample::{keys, rows, target_table};
use connect::read::KeyRange;
use connect::target::{Claim, Load, Target, TargetTable};
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
    let mut transaction = engine.begin().unwrap();
    let keep = keys(&table.schema, &[vec![article(1, "")[0].clone()]]);
    assert_eq!(transaction.retain(table, &KeyRange::default(), &keep).unwrap(), 1);
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
