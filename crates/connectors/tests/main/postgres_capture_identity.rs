//! What others do to the slot, the publication and the server, and in which state the capture says so: always before a
//! row is delivered.

use crate::postgres_application::{Application, Identity, drain, failure};
use crate::postgres_place::settings;
use crate::postgres_replica::{Replica, ops};
use change::{GroupBody, Value};
use connect::component::Connector;
use connect::source::{ChangeReader, Resume};
use connect::{Error, Kind, State};
use seamount_connectors::postgres::Postgres;
use servers::{Cluster, Recipe};

const ITEMS: &str = "CREATE TABLE items (id int PRIMARY KEY, name text)";

/// A capture that read some changes, acknowledged them and stopped; more were made since.
struct Stopped {
    application: Application,
    resume: Resume,
    slot: String,
}

fn stopped_at(mut application: Application) -> Stopped {
    application.sql(ITEMS);
    let mut reader = application.fresh(&["items"]);
    application.sql("INSERT INTO items VALUES (1, 'a')");
    application.sql("INSERT INTO items VALUES (2, 'b')");
    let groups = drain(reader.as_mut());
    let resume = behind(reader.as_ref(), groups.last().unwrap());
    let Resume::After { position, .. } = &resume else { unreachable!() };
    reader.acknowledge(position).unwrap();
    drop(reader);
    let slot = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()";
    let slot: String = application.client().query_one(slot, &[]).unwrap().get(0);
    application.sql("INSERT INTO items VALUES (3, 'c')");
    Stopped { application, resume, slot }
}

fn stopped() -> Stopped {
    stopped_at(Application::new(Identity::Default))
}

fn behind(reader: &dyn ChangeReader, group: &GroupBody) -> Resume {
    Resume::After { history: reader.history().clone(), position: group.upto.clone() }
}

impl Stopped {
    fn go_on(&self) -> connect::Result<Box<dyn ChangeReader>> {
        self.application.capture(&["items"], &self.resume)
    }

    fn stops(&self, state: State, why: &str) -> Error {
        let error = failure(self.go_on());
        assert_eq!((error.kind, error.state), (Kind::Invalid, Some(state)), "{why}: {error}");
        assert!(error.fix.is_some(), "{why}: an operator is told what to type");
        error
    }

    /// Nobody reads the slot any more.
    fn sql_on_free_slot(&mut self, sql: &str) {
        let slot = self.slot.clone();
        let active = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
        while self.application.client().query_one(active, &[&slot]).unwrap().get::<_, bool>(0) {}
        self.application.sql(&sql.replace("SLOT", &slot));
    }
}

#[test]
fn a_capture_goes_on_where_it_stopped() {
    let stopped = stopped();
    let mut reader = stopped.go_on().unwrap();
    let groups = drain(reader.as_mut());
    assert_eq!(Replica::of(&groups).rows("items").len(), 1);
}

#[test]
fn a_slot_that_was_dropped_is_a_lost_position() {
    let mut stopped = stopped();
    stopped.sql_on_free_slot("SELECT pg_drop_replication_slot('SLOT')");
    let error = stopped.stops(State::PositionLost, "the slot is gone");
    assert!(error.to_string().contains(&stopped.slot));
}

#[test]
fn a_slot_that_was_made_anew_is_a_lost_position() {
    let mut stopped = stopped();
    stopped.sql_on_free_slot(
        "SELECT pg_drop_replication_slot('SLOT'); SELECT pg_create_logical_replication_slot('SLOT', 'pgoutput')",
    );
    stopped.stops(State::PositionLost, "it would begin where it was made, without a word");
}

#[test]
fn a_slot_that_was_moved_on_is_a_lost_position() {
    let mut stopped = stopped();
    stopped.sql_on_free_slot("SELECT pg_replication_slot_advance('SLOT', pg_current_wal_lsn())");
    stopped.stops(State::PositionLost, "what was passed over would be missing");
}

/// Moved on to exactly where we are: nothing is missing.
#[test]
fn a_slot_at_our_place_is_none() {
    let mut stopped = stopped();
    let Resume::After { position, .. } = &stopped.resume else { unreachable!() };
    let place = format!("{:X}/{:X}", position.sequence >> 32, position.sequence & 0xFFFF_FFFF);
    stopped.sql_on_free_slot(&format!("SELECT pg_replication_slot_advance('SLOT', '{place}')"));
    let mut reader = stopped.go_on().unwrap();
    assert_eq!(ops(&drain(reader.as_mut())).len(), 1);
}

#[test]
fn a_slot_of_another_plugin_is_a_lost_position() {
    let mut stopped = stopped();
    stopped.sql_on_free_slot(
        "SELECT pg_drop_replication_slot('SLOT'); SELECT pg_create_logical_replication_slot('SLOT', 'test_decoding')",
    );
    stopped.stops(State::PositionLost, "it is another slot");
}

#[test]
fn a_slot_that_somebody_else_reads_is_named_with_its_reader() {
    let stopped = stopped();
    let url = stopped.application.server().url(&stopped.application.database);
    // By the program of PostgreSQL, under its own name.
    let mut other = std::process::Command::new("pg_recvlogical")
        .args(["-d", &url, "--slot", &stopped.slot, "--start", "-f", "/dev/null"])
        .args(["-o", "proto_version=1", "-o", &format!("publication_names={}", stopped.slot)])
        .spawn()
        .unwrap();
    let mut application = Application::beside(stopped.application.database.clone());
    let active = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
    while !application.client().query_one(active, &[&stopped.slot]).unwrap().get::<_, bool>(0) {}
    let error = failure(stopped.go_on());
    other.kill().unwrap();
    other.wait().unwrap();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    assert!(error.to_string().contains("pg_recvlogical"), "{error}");
}

/// A successor in the same process takes the slot over, and its predecessor hears of it.
#[test]
fn a_reader_gives_way_to_its_successor() {
    let mut stopped = stopped();
    let mut first = stopped.go_on().unwrap();
    let mut second = stopped.go_on().unwrap();
    stopped.application.sql("INSERT INTO items VALUES (4, 'd')");
    assert_eq!(ops(&drain(second.as_mut())).len(), 2);
    let bounds = crate::postgres_application::ROOMY;
    let error = (0..1000).find_map(|_| first.poll(bounds).err()).expect("it is told");
    assert_eq!(error.kind, Kind::Unavailable);
}

#[test]
fn a_table_taken_out_of_the_publication_is_noticed_and_can_be_resumed() {
    let mut stopped = stopped();
    let publication = stopped.slot.clone();
    let application = &mut stopped.application;
    application.sql(&format!("ALTER PUBLICATION {publication} DROP TABLE items"));
    application.sql("INSERT INTO items VALUES (4, 'in no log')");
    application.sql(&format!("ALTER PUBLICATION {publication} ADD TABLE items"));
    let error = stopped.stops(State::PositionLost, "a row is in nobody's log");
    let fix = error.fix.unwrap();
    let statement = fix.split("run ").nth(1).and_then(|rest| rest.split(" to go on").next());
    stopped.application.sql(statement.unwrap());
    let mut reader = stopped.go_on().unwrap();
    stopped.application.sql("INSERT INTO items VALUES (5, 'e')");
    let rows = Replica::of(&drain(reader.as_mut())).rows("items");
    assert_eq!(rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>(), [3, 5].map(Value::Int));
}

#[test]
fn a_publication_changed_while_it_is_captured_is_noticed_by_status() {
    let mut stopped = stopped();
    let mut reader = stopped.go_on().unwrap();
    assert_eq!(reader.retained().unwrap().changes, 0);
    let publication = stopped.slot.clone();
    stopped.application.sql(&format!("ALTER PUBLICATION {publication} DROP TABLE items"));
    let error = failure(reader.retained());
    assert_eq!(error.state, Some(State::PositionLost), "{error}");
    stopped.application.sql(&format!("DROP PUBLICATION {publication}"));
    drop(reader);
    stopped.stops(State::PositionLost, "the publication is gone");
}

#[test]
fn another_database_under_the_same_name_is_another_history() {
    let mut stopped = stopped();
    let other = Application::new(Identity::Default);
    stopped.application.database = other.database.clone();
    let mut other = other;
    other.sql(ITEMS);
    let error = stopped.stops(State::HistoryChanged, "the database is another");
    assert!(error.to_string().contains("database"), "{error}");
}

#[test]
fn tables_that_cannot_be_captured_are_refused_with_the_statement_that_helps() {
    let mut application = Application::new(Identity::Default);
    application.sql(
        "CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
         CREATE TABLE full_only (a int); ALTER TABLE full_only REPLICA IDENTITY FULL;
         CREATE TABLE indexed (id int PRIMARY KEY, n int NOT NULL UNIQUE);
         ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_n_key;
         CREATE TABLE by_index (a int, n int NOT NULL UNIQUE);
         ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_n_key",
    );
    for (table, says) in [
        ("nothing", "REPLICA IDENTITY FULL"),
        ("full_only", "ADD PRIMARY KEY"),
        ("indexed", "REPLICA IDENTITY FULL"),
    ] {
        let error = failure(application.capture(&[table], &Resume::Fresh));
        assert_eq!(error.kind, Kind::Invalid, "{table}: {error}");
        assert!(error.fix.unwrap().contains(says), "{table}");
    }
    let mut reader = application.fresh(&["by_index"]);
    application
        .sql("INSERT INTO by_index VALUES (1, 7); UPDATE by_index SET n = 8; DELETE FROM by_index");
    assert_eq!(ops(&drain(reader.as_mut())).len(), 3);
}

/// A server that is killed while it is captured: nothing is lost, nothing comes twice.
#[test]
fn a_killed_server_is_captured_on_behind_the_last_place() {
    let mut application = Application::of_its_own();
    application.sql(ITEMS);
    let mut reader = application.fresh(&["items"]);
    let mut groups: Vec<GroupBody> = Vec::new();
    for round in 0..3 {
        for id in 0..20 {
            application.sql(&format!("INSERT INTO items VALUES ({}, 'r')", round * 100 + id));
        }
        // Read, acknowledged in part: the server forgets what it was told since its last checkpoint.
        groups.extend(drain(reader.as_mut()));
        reader.acknowledge(&groups[groups.len() / 2].upto).unwrap();
        application.sql(&format!("INSERT INTO items VALUES ({}, 'unread')", round * 100 + 50));
        application.server().kill().unwrap();
        let error =
            (0..100_000).find_map(|_| reader.poll(crate::postgres_application::ROOMY).err());
        assert_eq!(error.expect("it is told").kind, Kind::Unavailable);
        let resume = behind(reader.as_ref(), groups.last().unwrap());
        drop(reader);
        application.server().resume().unwrap();
        application.log_in();
        reader = application.capture(&["items"], &resume).unwrap();
    }
    groups.extend(drain(reader.as_mut()));
    assert_eq!(ops(&groups).len(), 63);
    assert_eq!(Replica::of(&groups).rows("items").len(), 63);
}

#[test]
fn a_server_that_does_not_log_enough_is_refused() {
    let settings_of = vec![("wal_level".to_string(), "replica".to_string())];
    let cluster = Cluster::start(&Recipe { settings: settings_of, ..Recipe::default() }).unwrap();
    cluster.sql("postgres", ITEMS);
    let mut source = Postgres::new("postgres").source(&settings(&cluster.url("postgres"))).unwrap();
    let error = failure(source.capture(&["items".into()], &Resume::Fresh));
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    assert!(error.fix.unwrap().contains("wal_level"));
}

/// A standby that took over counts on from the same numbers, but it is another history.
#[test]
fn a_standby_that_took_over_is_another_history() {
    let mut stopped = stopped_at(Application::of_its_own());
    stopped.application.server().stop().unwrap();
    let data = stopped.application.server().data_folder();
    // Promotion without a second machine: recovery ends on a new timeline.
    let signal = data.join("standby.signal");
    std::fs::write(&signal, "").unwrap();
    std::process::Command::new("chown")
        .arg("--reference")
        .arg(&data)
        .arg(&signal)
        .status()
        .unwrap();
    stopped.application.server().resume().unwrap();
    stopped.application.log_in();
    stopped.application.client().execute("SELECT pg_promote()", &[]).unwrap();
    let error = stopped.stops(State::HistoryChanged, "the timeline is another");
    assert!(error.to_string().contains("timeline 2"), "{error}");
}
