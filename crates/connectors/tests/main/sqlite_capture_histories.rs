//! Random histories of an application, captured and replayed: the replay gives the table, and every old image is the
//! row as it was. The oracle reads the application's own connection with plain SQL.

use crate::sqlite_site::Place;
use change::{GroupBody, Op, Value};
use connect::log::Bounds;
use connect::source::{ChangeReader, Resume, Source};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use seamount_connectors::sqlite::SqliteSite;
use std::collections::BTreeMap;

/// Numbers that follow from a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[usize::try_from(self.below(texts.len() as u64)).unwrap()]
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// Tables with every kind of key. Columns a to d can be written; the last table computes one more.
const TABLES: [&str; 7] = [
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT UNIQUE, c TEXT, d)",
    "CREATE TABLE t (a INT NOT NULL, b INT NOT NULL, c TEXT UNIQUE, d, PRIMARY KEY (b, a)) WITHOUT ROWID",
    "CREATE TABLE t (a INT NOT NULL, b INT NOT NULL, c TEXT, d, PRIMARY KEY (a, b));
     CREATE UNIQUE INDEX t_c ON t (c COLLATE NOCASE)",
    "CREATE TABLE t (a TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, b INT, c TEXT, d);
     CREATE UNIQUE INDEX t_part ON t (b) WHERE d > 2;
     CREATE UNIQUE INDEX t_expr ON t (lower(c) || coalesce(b, 0) DESC)",
    "CREATE TABLE t (a INTEGER PRIMARY KEY AUTOINCREMENT, b INT, c TEXT, d, g INT AS (b * 2) STORED UNIQUE)",
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT REFERENCES t (a) ON DELETE CASCADE, c TEXT UNIQUE, d)",
    "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT REFERENCES t (a) ON DELETE SET NULL, c TEXT UNIQUE, d)",
];

const LOG: &str = "CREATE TABLE s (id INTEGER PRIMARY KEY, k, what TEXT)";

/// Triggers of the application that run after a change.
const AFTER: [&str; 6] = [
    "CREATE TRIGGER x1 AFTER INSERT ON t BEGIN INSERT INTO s (k, what) VALUES (NEW.a, 'in'); END",
    "CREATE TRIGGER x2 AFTER DELETE ON t BEGIN INSERT OR REPLACE INTO s (id, k, what) VALUES (OLD.d % 4, OLD.a, 'out'); END",
    "CREATE TRIGGER x3 AFTER INSERT ON t WHEN NEW.d < 3 BEGIN UPDATE t SET d = d + 10 WHERE a = NEW.a AND b = NEW.b; END",
    "CREATE TRIGGER x4 AFTER UPDATE ON t WHEN NEW.d = 5 BEGIN DELETE FROM t WHERE d = 4; END",
    "CREATE TRIGGER x5 AFTER UPDATE OF c ON t WHEN NEW.d < 20 BEGIN UPDATE OR IGNORE t SET d = d + 7, c = OLD.c WHERE a = NEW.a; END",
    "CREATE TRIGGER x6 AFTER INSERT ON s WHEN NEW.id > 3 BEGIN DELETE FROM s WHERE id < NEW.id - 3; END",
];

/// And before.
const BEFORE: [&str; 6] = [
    "CREATE TRIGGER y1 BEFORE INSERT ON t BEGIN DELETE FROM t WHERE c = NEW.c AND d > 3; END",
    "CREATE TRIGGER y2 BEFORE INSERT ON t WHEN NEW.d = 1 BEGIN SELECT RAISE(IGNORE); END",
    "CREATE TRIGGER y3 BEFORE UPDATE ON t WHEN NEW.d = 2 BEGIN UPDATE t SET d = d + 1 WHERE d > 2 AND d < 9; END",
    "CREATE TRIGGER y4 BEFORE DELETE ON t WHEN OLD.d = 3 BEGIN UPDATE t SET d = 30 WHERE a = OLD.a; END",
    "CREATE TRIGGER y5 BEFORE INSERT ON t WHEN NEW.d = 4 BEGIN INSERT OR REPLACE INTO t (a, b, c, d) VALUES (NEW.a, NEW.b, NEW.c, 40); END",
    "CREATE TRIGGER y6 BEFORE DELETE ON t WHEN OLD.d = 6 BEGIN SELECT RAISE(FAIL, 'no'); END",
];

fn row(dice: &mut Dice) -> String {
    let a = dice.below(6);
    let b = if dice.chance(10) { "NULL".into() } else { dice.below(5).to_string() };
    let c = dice.one_of(&["NULL", "'x'", "'X'", "'y'", "'z'", "'Z'"]);
    let d = if dice.chance(10) { "'t'".into() } else { dice.below(8).to_string() };
    let a = if dice.chance(12) { "NULL".into() } else { a.to_string() };
    format!("({a}, {b}, {c}, {d})")
}

fn place(dice: &mut Dice) -> String {
    match dice.below(5) {
        0 => String::new(),
        1 => format!(" WHERE b = {}", dice.below(5)),
        2 => format!(" WHERE d > {}", dice.below(8)),
        3 => format!(" WHERE c = '{}'", dice.one_of(&["x", "X", "y", "z"])),
        _ => format!(" WHERE a = {}", dice.below(6)),
    }
}

fn assignment(dice: &mut Dice) -> String {
    match dice.below(7) {
        0 => "a = a + 1".into(),
        1 => format!("a = {}", dice.below(6)),
        2 => format!("b = {}", dice.below(5)),
        3 => format!("c = {}", dice.one_of(&["NULL", "'x'", "'X'", "'y'", "'z'"])),
        4 => format!("a = {}, c = '{}'", dice.below(6), dice.one_of(&["x", "y"])),
        5 => format!("b = b + 1, d = {}", dice.below(8)),
        _ => format!("d = {}", dice.below(8)),
    }
}

fn statement(dice: &mut Dice) -> String {
    let or = dice.one_of(&[
        "",
        "",
        " OR REPLACE",
        " OR REPLACE",
        " OR IGNORE",
        " OR FAIL",
        " OR ABORT",
        " OR ROLLBACK",
    ]);
    match dice.below(12) {
        0..=3 => {
            let rows: Vec<String> = (0..=dice.below(3)).map(|_| row(dice)).collect();
            format!("INSERT{or} INTO t (a, b, c, d) VALUES {}", rows.join(", "))
        }
        4 => format!("REPLACE INTO t (a, b, c, d) VALUES {}", row(dice)),
        5 => format!(
            "INSERT INTO t (a, b, c, d) VALUES {} ON CONFLICT DO UPDATE SET {}",
            row(dice),
            dice.one_of(&[
                "d = excluded.d",
                "d = excluded.d, c = excluded.c",
                "a = excluded.a + 1",
                "b = excluded.b"
            ])
        ),
        6 => format!("INSERT INTO t (a, b, c, d) VALUES {} ON CONFLICT DO NOTHING", row(dice)),
        7..=8 => format!("UPDATE{or} t SET {}{}", assignment(dice), place(dice)),
        9 => format!("DELETE FROM t{}", place(dice)),
        10 => format!("INSERT{or} INTO t (a, b, c, d) SELECT a + 1, b, c, d FROM t{}", place(dice)),
        _ => format!("UPDATE{or} s SET id = {} WHERE id > {}", dice.below(5), dice.below(4)),
    }
}

fn transaction(application: &Connection, dice: &mut Dice) {
    let run = |sql: &str| drop(application.execute_batch(sql));
    run("BEGIN");
    for _ in 0..=dice.below(4) {
        if dice.chance(20) {
            run("SAVEPOINT p");
            run(&statement(dice));
            run(&statement(dice));
            run(if dice.chance(50) { "ROLLBACK TO p" } else { "RELEASE p" });
        }
        run(&statement(dice));
    }
    run(if dice.chance(15) { "ROLLBACK" } else { "COMMIT" });
    if !application.is_autocommit() {
        run("ROLLBACK");
    }
}

/// Rows by their key, as written.
type Rows = BTreeMap<String, Vec<Value>>;

/// What a consumer holds that believes every change.
#[derive(Default)]
struct Model {
    tables: BTreeMap<String, Rows>,
}

impl Model {
    fn apply(&mut self, group: &GroupBody) -> Result<(), String> {
        for (batch, row) in group.in_order() {
            let batch = &group.batches[batch];
            let (op, schema) = (batch.ops()[row], batch.schema());
            let key = |cells: &[Value]| {
                schema.key().iter().map(|&k| format!("{} ", cells[k])).collect::<String>()
            };
            let rows = self.tables.entry(batch.table().to_string()).or_default();
            if op.has_old() {
                let old = Value::row(batch.old(), schema, row);
                let was = rows.remove(&key(&old));
                if was.as_ref() != Some(&old) {
                    return Err(format!(
                        "{op:?} of {}: the old image is {old:?}, the row was {was:?}",
                        batch.table()
                    ));
                }
            }
            if op.has_new() {
                let new = Value::row(batch.new_images(), schema, row);
                if let Some(was) = rows.insert(key(&new), new).filter(|_| op != Op::Read) {
                    return Err(format!(
                        "{op:?} of {} puts a row where there is {was:?}",
                        batch.table()
                    ));
                }
            }
        }
        Ok(())
    }
}

fn table(application: &Connection, table: &str, key: &[usize]) -> Rows {
    let mut statement = application.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let width = statement.column_count();
    let mut rows = statement.query([]).unwrap();
    let mut all = Rows::new();
    while let Some(row) = rows.next().unwrap() {
        let cells: Vec<Value> = (0..width)
            .map(|i| match row.get_ref(i).unwrap() {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(n) => Value::Int(n),
                ValueRef::Real(f) => Value::float(f),
                ValueRef::Text(text) => Value::Text(String::from_utf8(text.to_vec()).unwrap()),
                ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
            })
            .collect();
        all.insert(key.iter().map(|&k| format!("{} ", cells[k])).collect(), cells);
    }
    all
}

/// One application, captured while it works.
struct History {
    application: Connection,
    reader: Box<dyn ChangeReader>,
    site: SqliteSite,
    model: Model,
    key: Vec<usize>,
    told: String,
}

impl History {
    fn begin(place: &Place, dice: &mut Dice) -> History {
        let kind = usize::try_from(dice.below(TABLES.len() as u64)).unwrap();
        let mut sql = format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; {};{LOG};",
            TABLES[kind]
        );
        for trigger in AFTER.iter().filter(|_| dice.chance(35)) {
            sql += &format!("{trigger};");
        }
        let before = dice.chance(50);
        for trigger in BEFORE.iter().filter(|_| before && dice.chance(35)) {
            sql += &format!("{trigger};");
        }
        if dice.chance(50) {
            sql += "PRAGMA recursive_triggers = ON;";
        }
        let application = place.application(&sql);
        let mut site = SqliteSite::open(&place.settings()).unwrap();
        let reader = site.capture(&["t".into(), "s".into()], &Resume::Fresh).unwrap();
        let key = if kind == 1 {
            vec![1, 0]
        } else if kind == 2 {
            vec![0, 1]
        } else {
            vec![0]
        };
        History { application, reader, site, model: Model::default(), key, told: sql }
    }

    fn catch_up(&mut self, dice: &mut Dice) -> Result<(), String> {
        let bounds = Bounds { changes: if dice.chance(30) { 3 } else { 10_000 }, bytes: 1 << 20 };
        let mut whole = true;
        while let Some(group) = self.reader.poll(bounds).map_err(|e| e.to_string())? {
            self.model.apply(&group)?;
            whole = group.part.last;
            if dice.chance(50) {
                self.reader.acknowledge(&group.upto).unwrap();
            }
            if dice.chance(5) {
                let resume =
                    Resume::After { history: self.reader.history().clone(), position: group.upto };
                self.reader = self.site.capture(&["s".into(), "t".into()], &resume).unwrap();
            }
        }
        assert!(whole, "a transaction ends");
        for (name, key) in [("t", &self.key[..]), ("s", &[0])] {
            let replayed = self.model.tables.entry(name.into()).or_default();
            let rows = table(&self.application, name, key);
            if *replayed != rows {
                return Err(format!("replayed {name} is {replayed:?}, it holds {rows:?}"));
            }
        }
        Ok(())
    }
}

fn histories(seeds: std::ops::Range<u64>) {
    let mut changed = 0;
    for seed in seeds {
        let dice = &mut Dice(seed);
        let place = Place::new();
        let mut history = History::begin(&place, dice);
        for turn in 0..12 {
            transaction(&history.application, dice);
            if dice.chance(40) {
                let caught = history.catch_up(dice);
                assert!(caught.is_ok(), "seed {seed}, turn {turn}: {caught:?}\n{}", history.told);
            }
        }
        let caught = history.catch_up(dice);
        assert!(caught.is_ok(), "seed {seed}: {caught:?}\n{}", history.told);
        changed += history.model.tables.values().map(BTreeMap::len).sum::<usize>();
    }
    assert!(changed > 0, "something happened");
}

#[test]
fn a_replay_of_random_histories_gives_the_table_first_half() {
    histories(0..500);
}

#[test]
fn a_replay_of_random_histories_gives_the_table_second_half() {
    histories(500..1000);
}
