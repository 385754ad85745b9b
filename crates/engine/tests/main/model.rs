//! Random histories, random interleavings, power cuts: at the end the target is the source, and every change read
//! has one fate. While it runs, no reader sees half of a transaction.

use crate::world::{World, event_flow};
use change::{ColumnType, Value};
use connect::memory::{Edit, sample::shape};
use connect::{Readable, Scan, Target};
use engine::{Applier, Engine, LaneCapture, Step, Stepping, Unwatched};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Act {
    /// Moves `amount` from one account to another, noted in two tables: sums agree after every transaction.
    Transfer {
        site: usize,
        from: i64,
        to: i64,
        amount: i64,
    },
    Open {
        site: usize,
        account: i64,
    },
    Close {
        site: usize,
        account: i64,
    },
    Rename {
        site: usize,
        account: i64,
        to: i64,
    },
    Capture(usize),
    Apply,
    HoldLog,
    ReleaseLog,
    PowerCut,
    RestartEngine,
}

fn act() -> impl Strategy<Value = Act> {
    let (site, account) = (0..2usize, 0..8i64);
    prop_oneof![
        4 => (site.clone(), account.clone(), account.clone(), 1..9i64)
            .prop_map(|(site, from, to, amount)| Act::Transfer { site, from, to, amount }),
        4 => (site.clone(), account.clone()).prop_map(|(site, account)| Act::Open { site, account }),
        1 => (site.clone(), account.clone()).prop_map(|(site, account)| Act::Close { site, account }),
        1 => (site.clone(), account.clone(), account)
            .prop_map(|(site, account, to)| Act::Rename { site, account, to }),
        5 => site.prop_map(Act::Capture),
        5 => Just(Act::Apply),
        1 => Just(Act::HoldLog),
        1 => Just(Act::ReleaseLog),
        1 => Just(Act::PowerCut),
        1 => Just(Act::RestartEngine),
    ]
}

/// Balances by account, at one site.
type Books = BTreeMap<i64, i64>;

const SITES: [&str; 2] = ["north", "south"];

fn world() -> World {
    let account = shape(&[("id", ColumnType::Int64), ("balance", ColumnType::Int64)], &["id"]);
    let mirror = shape(&[("id", ColumnType::Int64), ("negated", ColumnType::Int64)], &["id"]);
    let flow = event_flow("books", &SITES, &["account", "mirror"]);
    World::new(&SITES, &[("account", &account), ("mirror", &mirror)], vec![flow])
}

/// An account is a row in each of two tables whose values cancel out.
fn put(books: &mut Books, edits: &mut Vec<Edit>, account: i64, balance: i64) {
    let rows = |value: i64| vec![Value::Int(account), Value::Int(value)];
    for (table, value) in [("account", balance), ("mirror", -balance)] {
        edits.push(match books.contains_key(&account) {
            true => Edit::update(table, [Value::Int(account)], rows(value)),
            false => Edit::insert(table, rows(value)),
        });
    }
    books.insert(account, balance);
}

fn drop_account(books: &mut Books, edits: &mut Vec<Edit>, account: i64) {
    if books.remove(&account).is_some() {
        edits.push(Edit::delete("account", [Value::Int(account)]));
        edits.push(Edit::delete("mirror", [Value::Int(account)]));
    }
}

/// The engine as a test steps it.
struct Running {
    captures: Vec<LaneCapture>,
    applier: Applier,
}

fn start(engine: &Engine) -> Running {
    let flow = engine.flow("books").unwrap().clone();
    let identity = engine.identify(&flow).unwrap();
    let applier = Applier::open(engine, &flow, &identity).unwrap();
    let captures = engine::captured_tables(&engine.assembly.project)
        .into_iter()
        .map(|(site, tables)| {
            LaneCapture::open(&engine.assembly, &engine.orders, &site, &tables).unwrap()
        })
        .collect();
    Running { captures, applier }
}

/// What a reader of the target sees: sums of the two tables cancel out, whatever has been applied.
fn assert_whole(world: &World) {
    let mut site = world.target.open();
    let mut cut = site.cut().unwrap();
    let mut sum = 0;
    for table in ["account", "mirror"] {
        let Ok(schema) = site.describe(table) else { return };
        let rows = Scan::all(table, schema.clone()).collect(cut.as_mut()).unwrap();
        for row in 0..rows.num_rows() {
            let cells = Value::row(&rows, &schema, row);
            let Value::Int(value) = cells[1] else { panic!("a balance is a number") };
            sum += value;
        }
    }
    assert_eq!(sum, 0, "a reader saw half of a transaction");
}

/// How a history begins.
#[derive(Clone, Copy, PartialEq)]
enum Begin {
    /// Snapshots are done: from here on no reader may see half of a transaction.
    AfterSnapshot,
    /// Snapshots run while things happen; only the end counts.
    WithSnapshot,
}

fn run(acts: &[Act], begin: Begin) {
    let mut world = world();
    let mut books = [Books::new(), Books::new()];
    for (site, book) in SITES.iter().zip(&mut books) {
        let mut edits = Vec::new();
        (0..5).for_each(|account| put(book, &mut edits, account, 100));
        world.sources[*site].commit(&edits).unwrap();
    }
    let mut engine = world.engine();
    if begin == Begin::AfterSnapshot {
        let flow = engine.flow("books").unwrap().clone();
        Stepping::open(&engine, &flow).unwrap().drain(&Unwatched).unwrap();
        engine = world.engine();
    }
    let mut running = start(&engine);
    for act in acts {
        let mut edits = Vec::new();
        let mut at = 0;
        match act.clone() {
            Act::Transfer { site, from, to, amount } => {
                at = site;
                let book = &mut books[site];
                if let (Some(&a), Some(&b)) = (book.get(&from), book.get(&to))
                    && from != to
                {
                    put(book, &mut edits, from, a - amount);
                    put(book, &mut edits, to, b + amount);
                }
            }
            Act::Open { site, account } => {
                at = site;
                if !books[site].contains_key(&account) {
                    put(&mut books[site], &mut edits, account, 10 + account);
                }
            }
            Act::Close { site, account } => {
                at = site;
                drop_account(&mut books[site], &mut edits, account);
            }
            Act::Rename { site, account, to } => {
                at = site;
                if let (Some(balance), false) =
                    (books[site].get(&account).copied(), books[site].contains_key(&to))
                {
                    books[site].remove(&account);
                    books[site].insert(to, balance);
                    for (table, value) in [("account", balance), ("mirror", -balance)] {
                        let row = vec![Value::Int(to), Value::Int(value)];
                        edits.push(Edit::update(table, [Value::Int(account)], row));
                    }
                }
            }
            Act::Capture(site) => {
                running.captures[site].step().unwrap();
            }
            Act::Apply => {
                running.applier.step().unwrap();
                if begin == Begin::AfterSnapshot {
                    assert_whole(&world);
                }
            }
            Act::HoldLog => world.log.hold(),
            Act::ReleaseLog => world.log.release(),
            Act::PowerCut => {
                drop(running);
                world.crash();
                engine = world.engine();
                running = start(&engine);
            }
            Act::RestartEngine => {
                // A process that ends leaves nothing between its queue and the disk.
                world.log.release();
                drop(running);
                engine = world.engine();
                running = start(&engine);
            }
        }
        if !edits.is_empty() {
            world.sources[SITES[at]].commit(&edits).unwrap();
        }
    }
    world.log.release();
    drop(running);
    let engine = world.engine();
    let flow = engine.flow("books").unwrap().clone();
    let drained = Stepping::open(&engine, &flow).unwrap().drain(&Unwatched).unwrap();
    assert!(drained.down.is_empty());
    assert_equal(&world, &books);
    assert_conserved(&world, &engine);
}

fn assert_equal(world: &World, books: &[Books; 2]) {
    let mut expected = Vec::new();
    for (site, book) in SITES.iter().zip(books) {
        for (account, balance) in book {
            expected.push((site.to_string(), *account, *balance));
        }
    }
    expected.sort();
    for (table, sign) in [("account", 1), ("mirror", -1)] {
        let mut found: Vec<(String, i64, i64)> = world
            .target
            .rows(table)
            .unwrap()
            .into_iter()
            .map(|row| match (&row[0], &row[1], &row[2]) {
                (Value::Int(id), Value::Int(value), Value::Text(site)) => {
                    (site.clone(), *id, value * sign)
                }
                other => panic!("unexpected row {other:?}"),
            })
            .collect();
        found.sort();
        assert_eq!(found, expected, "{table}");
    }
}

fn assert_conserved(world: &World, engine: &Engine) {
    let identity = engine.identify(engine.flow("books").unwrap()).unwrap();
    let progress = world.target.open().progress(identity.id).unwrap().unwrap();
    for lane in progress.lanes.values() {
        assert!(lane.counters.conserved(), "{:?}", lane.counters);
        assert_eq!(lane.counters.parked, 0);
        assert_eq!(lane.counters.deduplicated, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_target_becomes_the_source_whatever_happens(acts in prop::collection::vec(act(), 1..80)) {
        run(&acts, Begin::AfterSnapshot);
    }

    #[test]
    fn a_snapshot_amid_changes_misses_nothing(acts in prop::collection::vec(act(), 1..80)) {
        run(&acts, Begin::WithSnapshot);
    }
}

/// Nothing is visible in a target before its frame is durable.
#[test]
fn what_the_log_holds_back_is_not_applied() {
    let world = world();
    let engine = world.engine();
    let mut running = start(&engine);
    let mut edits = Vec::new();
    put(&mut Books::new(), &mut edits, 1, 5);
    world.sources["north"].commit(&edits).unwrap();
    world.log.hold();
    while let Step::Moved(changes) = running.captures[0].step().unwrap() {
        if changes == 0 {
            break;
        }
    }
    assert_eq!(running.applier.step().unwrap(), Step::Idle);
    world.log.release();
    assert!(matches!(running.applier.step().unwrap(), Step::Moved(_)));
    assert_whole(&world);
}
