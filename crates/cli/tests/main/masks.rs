//! Masks: what a site keeps to itself is nowhere behind it, and everything still works with what is left.
//!
//! The judge knows nothing of the engine: it scans every database and file for texts that are in masked columns
//! only, and makes the hashes itself.

use crate::engine_process::EngineProcess;
use crate::oracle::{assert_same, number};
use crate::project::{Ended, Project, wait_until};
use rusqlite::{Connection, types::Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// In every value that must not leave the shop, and nowhere else.
const CANARY: &str = "canary";

const FLOW: &str = "mode = \"event\"\n[from]\nsites = \"shop\"\ntable = \"customers\"\n[to]\nsite = \"central\"\n\
                    [events]\ndead_letter = { after = 1, stop_at = \"50%\" }\n\
                    [reconcile]\nrepair = { max_rows = 20, max_share = \"50%\" }\n";

const MASK: &str = "mask = { Customers = { email = \"hash\", PHONE = \"drop\", note = \"mask\", born = \"mask\", any = \"mask\" } }\n";

fn sites(mask: &str) -> String {
    format!(
        "[shop]\nurl = \"sqlite:shop.db\"\nbusy_timeout_ms = 30000\n{mask}\n\
         [central]\nurl = \"sqlite:central.db\"\nbusy_timeout_ms = 30000\n"
    )
}

/// A shop with customers, whose masked columns are full of canaries.
fn shop(mask: &str, customers: i64) -> Project {
    let project = Project::new(&[
        ("seamount.toml", "name = \"discreet\"\n"),
        ("sites.toml", &sites(mask)),
        ("flows/customers.toml", FLOW),
    ]);
    let shop = project.db("shop.db");
    shop.execute_batch(
        "pragma journal_mode = wal;
         create table customers (id integer not null primary key, email text, phone text not null,
                                 note text, born integer, any, city text not null, points integer)",
    )
    .unwrap();
    shop.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
         insert into customers
         select i, case i % 9 when 0 then null else 'canary-' || (i % 50) || '@example.org' end,
                'canary+49' || i, case i % 4 when 0 then null else 'canary note ' || i end,
                i * 400, case i % 3 when 0 then i else 'canary ' || i end,
                'city ' || (i % 5), i
         from n",
        [customers],
    )
    .unwrap();
    project
}

/// The keyed hash of a text, made by hand: tag 3, length, bytes.
fn hash(project: &Project, text: &str) -> String {
    let state = project.db(".seamount/state.db");
    let key: String = state
        .query_row("select value from setting where name = 'mask-key'", [], |row| row.get(0))
        .unwrap();
    let key: Vec<u8> =
        (0..32).map(|n| u8::from_str_radix(&key[2 * n..2 * n + 2], 16).unwrap()).collect();
    let mut cell = vec![3];
    cell.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    cell.extend_from_slice(text.as_bytes());
    blake3::keyed_hash(&key.try_into().unwrap(), &cell).to_hex()[..32].to_string()
}

/// What the target must hold, row by row, worked out from the shop alone.
fn expected(project: &Project) -> Vec<String> {
    let shop = project.db("shop.db");
    let mut query =
        shop.prepare("select id, email, note, any, city, points from customers").unwrap();
    let rows = query
        .query_map([], |row| {
            let stars = |value: Value| if value == Value::Null { "-" } else { "***" };
            let email: Option<String> = row.get(1)?;
            let email = email.map_or("-".into(), |email| hash(project, &email));
            let (id, note, any): (i64, Value, Value) = (row.get(0)?, row.get(2)?, row.get(3)?);
            let (city, points): (String, Option<i64>) = (row.get(4)?, row.get(5)?);
            Ok(format!("{id} {email} {} - {} {city} {points:?}", stars(note), stars(any)))
        })
        .unwrap();
    let mut rows: Vec<String> = rows.map(Result::unwrap).collect();
    rows.sort();
    rows
}

fn found(project: &Project) -> Vec<String> {
    let central = project.db("central.db");
    let mut query =
        central.prepare("select id, email, note, born, any, city, points from customers").unwrap();
    let rows = query
        .query_map([], |row| {
            let text =
                |at: usize| row.get::<_, Option<String>>(at).map(|t| t.unwrap_or("-".into()));
            let (id, points): (i64, Option<i64>) = (row.get(0)?, row.get(6)?);
            let (email, note, born, any) = (text(1)?, text(2)?, text(3)?, text(4)?);
            Ok(format!("{id} {email} {note} {born} {any} {} {points:?}", text(5)?))
        })
        .unwrap();
    let mut rows: Vec<String> = rows.map(Result::unwrap).collect();
    rows.sort();
    rows
}

/// The target holds what the masks leave of the shop's rows, no more and no less.
#[track_caller]
fn assert_masked(project: &Project) {
    let (found, expected) = (found(project), expected(project));
    let lacks: Vec<_> = expected.iter().filter(|row| !found.contains(row)).take(3).collect();
    let extra: Vec<_> = found.iter().filter(|row| !expected.contains(row)).take(3).collect();
    assert!(found == expected, "the target lacks {lacks:?}... and has {extra:?}...");
}

/// Everything that was said.
#[derive(Default)]
struct Said(Vec<Ended>);

impl Said {
    #[track_caller]
    fn expect(&mut self, project: &Project, line: &str, code: i32) -> &Ended {
        self.0.push(project.expect(line, code));
        self.0.last().unwrap()
    }

    #[track_caller]
    fn is_discreet(&self) {
        for ended in &self.0 {
            assert!(!ended.out.contains(CANARY) && !ended.err.contains(CANARY), "{ended:?}");
        }
    }
}

/// Files below a folder.
fn files(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, all);
        } else {
            all.push(path);
        }
    }
}

fn holds(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// Whether bytes hold a canary, themselves or in a compressed frame that begins anywhere in them.
fn sings(bytes: &[u8]) -> bool {
    const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let places = bytes.windows(4).enumerate().filter(|(_, window)| *window == MAGIC);
    holds(bytes, CANARY.as_bytes())
        || places.into_iter().any(|(at, _)| {
            let frame = zstd::bulk::decompress(&bytes[at..], 64 << 20);
            let streamed = || zstd::stream::decode_all(&bytes[at..]);
            frame.or_else(|_| streamed()).is_ok_and(|raw| holds(&raw, CANARY.as_bytes()))
        })
}

/// Places behind the shop that hold a canary: files by their bytes, databases by every cell of every table.
fn leaks(project: &Project) -> BTreeSet<String> {
    let mut all = Vec::new();
    files(&project.path(""), &mut all);
    let mut leaks = BTreeSet::new();
    for path in all {
        let name = path.strip_prefix(project.path("")).unwrap().display().to_string();
        if name.starts_with("shop.db") {
            continue;
        }
        // A write-ahead log goes when the last connection to its database does.
        let bytes = std::fs::read(&path).unwrap_or_default();
        if sings(&bytes) {
            leaks.insert(format!("{name}: bytes"));
        }
        if name.ends_with(".db") {
            let db = Connection::open(&path).unwrap();
            for table in crate::oracle::tables(&db) {
                let sql = format!("select * from \"{table}\"");
                let mut query = db.prepare(&sql).unwrap();
                let columns = query.column_count();
                let mut rows = query.query([]).unwrap();
                while let Some(row) = rows.next().unwrap() {
                    let cells =
                        (0..columns).map(|n| row.get_ref(n).unwrap().as_bytes_or_null().ok());
                    if cells.flatten().flatten().any(sings) {
                        leaks.insert(format!("{name}: {table}"));
                    }
                }
            }
        }
    }
    leaks
}

/// Transactions one by one, so that frames are small; deletes, updates, a key that moves.
fn trade(project: &Project, from: i64) {
    let shop = project.db("shop.db");
    for n in from..from + 10 {
        shop.execute_batch(&format!(
            "update customers set email = 'canary-new-{n}@example.org', phone = 'canary{n}', note = 'canary',
                                  points = points + 1 where id = {n};
             begin; insert into customers values ({}, 'canary-1@example.org', 'canary', 'canary', 1999,
                                                  'canary', 'new', {n});
             delete from customers where id = {}; commit;
             update customers set id = {} where id = {};",
            n + 10_000,
            n + 20,
            n + 20_000,
            n + 40,
        ))
        .unwrap();
    }
}

#[test]
fn the_judge_finds_what_leaves_without_a_mask() {
    let project = shop("", 150);
    project.expect("run customers --once", 0);
    let snapshot = leaks(&project);
    assert!(snapshot.iter().any(|leak| leak.contains("/log/")), "{snapshot:?}");
    assert!(snapshot.contains("central.db: customers"), "{snapshot:?}");
    trade(&project, 1);
    project.expect("run customers --once", 0);
}

#[test]
fn events_carry_what_the_masks_leave_and_nothing_else() {
    let project = shop(MASK, 150);
    let mut said = Said::default();
    said.expect(&project, "check --online", 0);
    said.expect(&project, "plan", 0);
    said.expect(&project, "run customers --once", 0);
    assert_masked(&project);
    trade(&project, 1);
    said.expect(&project, "run customers --once", 0);
    assert_masked(&project);
    let phones = "select count(*) from pragma_table_info('customers') where name = 'phone'";
    assert_eq!(number(&project.db("central.db"), phones), 0);
    for line in
        ["reconcile customers", "diff customers", "status", "status --json", "sites discover shop"]
    {
        said.expect(&project, line, 0);
    }
    said.is_discreet();
    assert_eq!(leaks(&project), BTreeSet::new());
}

#[test]
fn damage_is_named_and_mended_with_masked_rows() {
    let project = shop(MASK, 150);
    let mut said = Said::default();
    said.expect(&project, "run customers --once", 0);
    project
        .db("central.db")
        .execute_batch(
            "update customers set email = 'somebody' where id = 3;
             update customers set note = null where id = 5;
             delete from customers where id = 7",
        )
        .unwrap();
    assert_eq!(said.expect(&project, "reconcile customers --json", 2).summary()["differences"], 3);
    said.expect(&project, "diff customers", 2);
    said.expect(&project, "diff customers --json", 2);
    let ended = said.expect(&project, "reconcile customers --repair --json", 0);
    assert_eq!(ended.summary()["repaired"], 3, "{}", ended.out);
    assert_masked(&project);
    // Changes that the capture never saw are read again, through the mask.
    let shop = project.db("shop.db");
    let triggers = rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER;
    shop.set_db_config(triggers, false).unwrap();
    shop.execute_batch(
        "update customers set email = 'canary-unseen@example.org' where id = 11;
         delete from customers where id = 12;
         insert into customers values (9000, 'canary', 'canary', 'canary', null, null, 'unseen', 1)",
    )
    .unwrap();
    said.expect(&project, "reconcile customers --json", 2);
    said.expect(&project, "reconcile customers --repair", 0);
    assert_masked(&project);
    said.expect(&project, "certificate list customers", 0);
    said.is_discreet();
    assert_eq!(leaks(&project), BTreeSet::new());
}

#[test]
fn letters_hold_masked_rows() {
    let project = shop(MASK, 60);
    project
        .db("central.db")
        .execute_batch(
            "create table customers (id integer not null primary key, email text, note text, born integer, any,
                                     city text not null check (city <> 'nowhere'), points integer)",
        )
        .unwrap();
    let mut said = Said::default();
    said.expect(&project, "run customers --once", 0);
    let shop = project.db("shop.db");
    shop.execute("update customers set city = 'nowhere', email = 'canary@x' where id < 5", [])
        .unwrap();
    said.expect(&project, "run customers --once", 0);
    let listed = said.expect(&project, "dlq list customers --json", 0);
    assert_eq!(listed.objects("letter").len(), 4, "{}", listed.out);
    let shown = said.expect(&project, "dlq show customers 1", 0).out.clone();
    assert!(shown.contains(&hash(&project, "canary@x")), "{shown}");
    said.expect(&project, "dlq replay customers", 65);
    said.expect(&project, "reconcile customers", 2);
    said.is_discreet();
    assert_eq!(leaks(&project), BTreeSet::new());
}

#[test]
fn runs_stage_masked_rows_and_joins_over_hashes_still_join() {
    let project = shop(&MASK.replace("} }", "}, orders = { email = \"hash\" } }"), 60);
    let joined = "mode = \"batch\"\n[from]\nsites = \"shop\"\ntables = [\"customers\", \"orders\"]\nkey = [\"id\"]\n\
                  [to]\nsite = \"central\"\ntable = \"bought\"\n\
                  [transform]\nsql = \"select o.id, c.email, c.note, o.total from customers c \
                  join orders o on c.email = o.email and c.id = o.customer\"\n";
    project.write("flows/bought.toml", joined);
    project.write("flows/customers.toml", FLOW.replacen("event", "batch", 1));
    let shop = project.db("shop.db");
    shop.execute_batch(
        "create table orders (id integer not null primary key, customer integer, email text, total integer);
         insert into orders select id * 10, id, email, points from customers where id < 20",
    )
    .unwrap();
    let mut said = Said::default();
    said.expect(&project, "check --online", 0);
    said.expect(&project, "run customers --once", 0);
    said.expect(&project, "run bought --once", 0);
    assert_masked(&project);
    let central = project.db("central.db");
    assert_eq!(number(&central, "select count(*) from bought"), 17, "null joins nothing");
    assert_eq!(
        number(
            &central,
            "select count(*) from bought join customers using (email) where bought.id = customers.id * 10"
        ),
        17
    );
    said.expect(&project, "runs list", 0);
    said.is_discreet();
    assert_eq!(leaks(&project), BTreeSet::new());
}

#[test]
fn a_service_that_is_killed_leaves_nothing_unmasked_behind() {
    let project = shop(MASK, 80);
    project.write("flows/customers.toml", FLOW.replacen("event", "hybrid", 1));
    let engine = EngineProcess::start(&project);
    let central = project.db("central.db");
    wait_until("the snapshot is there", || {
        number(&central, "select count(*) from sqlite_schema where name = 'customers'") == 1
            && number(&central, "select count(*) from customers") == 80
    });
    trade(&project, 1);
    wait_until("changes are there", || {
        number(&central, "select count(*) from customers where id > 20000") > 0
    });
    engine.kill();
    assert_eq!(leaks(&project), BTreeSet::new());
    let engine = EngineProcess::start(&project);
    trade(&project, 60);
    let mut said = Said::default();
    said.expect(&project, "reconcile customers", 0);
    assert_eq!(engine.terminate().code, 143);
    said.expect(&project, "run customers --once", 0);
    assert_masked(&project);
    said.is_discreet();
    assert_eq!(leaks(&project), BTreeSet::new());
}

#[test]
fn a_mask_that_does_not_fit_lets_nothing_pass() {
    for (mask, code, says) in [
        ("mask = { custmers = { email = \"drop\" } }\n", "E0420", "there is no table custmers"),
        ("mask = { customers = { mail = \"drop\" } }\n", "E0420", "there is no column mail"),
        ("mask = { customers = { id = \"hash\" } }\n", "E0420", "part of the table's key"),
        ("mask = { customers = { email = \"hide\" } }\n", "E0107", "not one of these words"),
        ("mask = { customers = { email = \"hash\", EMAIL = \"drop\" } }\n", "E0109", "twice"),
        ("mask = { }\n", "E0108", "something in it"),
    ] {
        let project = shop(mask, 10);
        let (checked, run) = (project.run("check --online"), project.run("run customers --once"));
        assert!(checked.code == 78 && run.code == 78, "{mask}{checked:?}{run:?}");
        assert!(checked.err.contains(code), "{mask}{}", checked.err);
        let told = format!("{}{}", checked.err, run.err);
        assert!(told.contains(says), "{mask}{told}");
        let made = number(
            &project.db("shop.db"),
            "select count(*) from sqlite_schema where name like '_seamount%'",
        );
        assert_eq!((made, leaks(&project)), (0, BTreeSet::new()), "{mask}");
    }
}

#[test]
fn a_statement_that_names_a_dropped_column_is_told_why_it_is_not_there() {
    let project = shop(MASK, 10);
    let flow = format!("{FLOW}[transform]\nsql = \"select id, phone from customers\"\n");
    project.write("flows/customers.toml", flow);
    let ended = project.expect("check --online", 78);
    assert!(
        ended.err.contains("E0411")
            && ended.err.contains("`mask` in sites.toml drops PHONE of Customers"),
        "{}",
        ended.err
    );
}

#[test]
fn a_column_that_is_renamed_stops_its_site_and_does_not_pass() {
    let project = shop(MASK, 20);
    project.expect("run customers --once", 0);
    let shop = project.db("shop.db");
    shop.execute_batch(
        "alter table customers rename column email to mail;
         update customers set mail = 'canary-renamed', points = 0 where id = 1",
    )
    .unwrap();
    let ended = project.run("run customers --once");
    assert_ne!(ended.code, 0);
    assert!(ended.err.contains("E0420"), "{}", ended.err);
    assert_eq!(leaks(&project), BTreeSet::new());
}

#[test]
fn a_mask_that_comes_later_takes_a_new_snapshot_and_says_what_the_log_keeps() {
    let project = shop("", 60);
    project
        .db("central.db")
        .execute_batch(
            "create table customers (id integer not null primary key, email text, phone text, note text, born integer,
                                     any, city text not null check (city <> 'nowhere'), points integer)",
        )
        .unwrap();
    project.expect("run customers --once", 0);
    let shop = project.db("shop.db");
    shop.execute("update customers set city = 'nowhere' where id = 1", []).unwrap();
    project.expect("run customers --once", 0);
    assert_eq!(project.expect("dlq list customers --json", 0).summary()["letters"], 1);
    shop.execute("update customers set city = 'somewhere' where id = 1", []).unwrap();
    project.write("sites.toml", sites(MASK));
    let planned = project.expect("plan", 0);
    assert!(planned.out.contains("the mask of customers at shop has changed"), "{planned:?}");
    // A second flow that begins now must not be given what was logged before.
    let copy = FLOW.replace("site = \"central\"\n", "site = \"central\"\ntable = \"copied\"\n");
    project.write("flows/copied.toml", copy);
    project.expect("run copied --once", 0);
    project.expect("run customers --once", 0);
    let central = project.db("central.db");
    let canaries = |table: &str| {
        let sql = format!(
            "select count(*) from {table} where email || coalesce(note, '') || coalesce(any, '') like '%canary%'"
        );
        number(&central, &sql)
    };
    assert_eq!((canaries("customers"), canaries("copied")), (0, 0));
    assert_eq!(number(&central, "select count(*) from copied"), 60);
    let letters = project.expect("dlq list customers --all --json", 0).objects("letter");
    assert!(letters.is_empty(), "their rows came again with the new snapshot: {letters:?}");
    project.expect("replay customers --into history", 0);
    assert_eq!(number(&central, "select count(*) from history"), 60);
    assert_eq!(canaries("history"), 0);
    // What the target held in a column that is dropped now is the target's: nothing of ours deletes it.
    assert!(number(&central, "select count(*) from customers where phone like '%canary%'") > 0);
    let leaks = leaks(&project);
    assert!(
        leaks.iter().any(|leak| leak.contains("/log/")),
        "the log keeps what it held: {leaks:?}"
    );
    assert!(!leaks.contains(".seamount/state.db: letter"), "{leaks:?}");
}

/// Values that do not fit their columns are refused with texts that do not show them.
#[test]
fn a_masked_value_that_does_not_fit_its_column_is_not_shown() {
    let nightly = FLOW
        .replacen("event", "batch", 1)
        .replace("site = \"central\"\n", "site = \"central\"\ntable = \"nightly\"\n");
    for (column, value) in [("born", "'canary, a text'"), ("email", "x'63616e617279ff'")] {
        let project = shop(MASK, 20);
        project.write("flows/nightly.toml", &nightly);
        let mut said = Said::default();
        said.expect(&project, "run customers --once", 0);
        let sql = format!("update customers set {column} = {value} where id = 3");
        project.db("shop.db").execute(&sql, []).unwrap();
        for line in [
            "run customers --once",
            "reconcile customers",
            "run nightly --once",
            "status",
            "runs list",
        ] {
            said.0.push(project.run(line));
        }
        let refused = said.0.iter().filter(|ended| ended.err.contains("it is stored as")).count();
        assert_eq!(refused, 3, "{column}: {:?}", said.0);
        said.is_discreet();
        assert_eq!(leaks(&project), BTreeSet::new());
    }
}

/// Databases take names in any spelling; a view is masked by its own name.
#[test]
fn other_spellings_and_views_are_no_way_around_a_mask() {
    let mask = MASK.replace("} }", "}, Cards = { mail = \"hash\" } }");
    let project = shop(&mask, 20);
    let shop = project.db("shop.db");
    shop.execute_batch("create view cards as select id, email as mail, city from customers")
        .unwrap();
    let mut said = Said::default();
    for (name, table) in [("one", "CUSTOMERS"), ("two", "cards"), ("three", "CARDS")] {
        let flow = format!(
            "mode = \"batch\"\n[from]\nsites = \"shop\"\ntable = \"{table}\"\nkey = [\"id\"]\n\
             [to]\nsite = \"central\"\ntable = \"{name}\"\n"
        );
        project.write(&format!("flows/{name}.toml"), flow);
        said.0.push(project.run(&format!("run {name} --once")));
    }
    said.expect(&project, "run two --once", 0);
    said.is_discreet();
    assert_eq!(leaks(&project), BTreeSet::new());
    let central = project.db("central.db");
    assert_eq!(number(&central, "select count(*) from two where length(mail) = 32"), 18);
}

/// The other table's snapshot lies in the log before the place where the mask came: between them stand unmasked rows.
#[test]
fn a_flow_that_begins_after_a_mask_does_not_go_back_behind_it_for_another_table() {
    let project = shop("", 30);
    let shop = project.db("shop.db");
    shop.execute_batch(
        "create table orders (id integer not null primary key, total integer);
         insert into orders values (1, 10), (2, 20)",
    )
    .unwrap();
    let orders = FLOW.replace("\"customers\"", "\"orders\"");
    project.write("flows/orders.toml", &orders);
    project.expect("run orders --once", 0);
    project.expect("run customers --once", 0);
    trade(&project, 1);
    project.expect("run customers --once", 0);
    project.write("sites.toml", sites(MASK));
    let both = "mode = \"event\"\n[from]\nsites = \"shop\"\ntables = [\"customers\", \"orders\"]\n[to]\nsite = \"other\"\n";
    project.write("flows/both.toml", both);
    let other = "\n[other]\nurl = \"sqlite:other.db\"\n";
    project.write("sites.toml", format!("{}{other}", sites(MASK)));
    project.expect("run both --once", 0);
    let other = project.db("other.db");
    assert_eq!(number(&other, "select count(*) from orders"), 2);
    assert_eq!(
        number(&other, "select count(*) from customers"),
        number(&shop, "select count(*) from customers")
    );
    assert!(
        !leaks(&project).iter().any(|leak| leak.starts_with("other.db")),
        "{:?}",
        leaks(&project)
    );
}

/// A target's column that may not be null comes and goes by the hand of its owner, and nothing is lost meanwhile.
#[test]
fn a_table_that_does_not_fit_a_changed_mask_blocks_its_flow_and_says_why() {
    let project = shop("", 30);
    let all = "select id, email, phone, note, born, any, city, points from customers";
    let steps = [(MASK, "alter table customers drop column phone"), ("", "drop table customers")];
    project.expect("run customers --once", 0);
    for (mask, by_hand) in steps {
        project.write("sites.toml", sites(mask));
        let ended = project.expect("run customers --once", 1);
        assert!(ended.err.contains("E0505") && ended.err.contains("phone"), "{}", ended.err);
        project.db("central.db").execute_batch(by_hand).unwrap();
        project.expect("run customers --once", 0);
        match mask {
            "" => assert_same(&project.db("shop.db"), all, &project.db("central.db"), all),
            _ => assert_masked(&project),
        }
        assert_eq!(project.expect("reconcile customers --json", 0).summary()["verdict"], "EQUAL");
    }
}
