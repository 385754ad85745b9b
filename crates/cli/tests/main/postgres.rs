//! Flows between PostgreSQL databases by the finished binary: the same target in all three modes, under a writer,
//! through kill -9 of the server and of the engine; and what a proof finds there.

use crate::engine_process::EngineProcess;
use crate::project::{Project, wait_until};
use servers::{Cluster, Recipe};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// Two databases of one server, and a project between them.
struct Stock {
    cluster: Arc<Cluster>,
    shop: String,
    central: String,
    project: Project,
}

/// Every kind of column that a business has; the types of PostgreSQL's own among them.
const TABLE: &str = "CREATE TABLE stock (sku int, store smallint, qty int NOT NULL, price numeric(12,4), weight numeric, \
     note text, seen timestamptz, tags text[], extra jsonb, id uuid DEFAULT gen_random_uuid(), PRIMARY KEY (sku, store))";

impl Stock {
    fn new(mode: &str) -> Stock {
        let cluster = Arc::new(Cluster::start(&Recipe::default()).unwrap());
        let (shop, central) = (cluster.database(), cluster.database());
        let sites = format!(
            "[shop]\nurl = \"{}\"\n[central]\nurl = \"{}\"\n",
            cluster.url(&shop),
            cluster.url(&central)
        );
        let project = Project::new(&[("seamount.toml", "name = \"pg\"\n"), ("sites.toml", &sites)]);
        let stock = Stock { cluster, shop, central, project };
        stock.set_mode(mode);
        stock.sql(TABLE);
        stock.sql(
            "INSERT INTO stock SELECT i, i % 3, i, i / 7.0, i / 3.0, 'note ' || i, now(), ARRAY['a', i::text], \
             jsonb_build_object('n', i) FROM generate_series(1, 500) i",
        );
        stock
    }

    fn set_mode(&self, mode: &str) {
        self.project.write(
            "flows/stock.toml",
            format!(
                "mode = \"{mode}\"\n[from]\nsites = \"shop\"\ntable = \"stock\"\n[to]\nsite = \"central\"\n\
                 [batch]\nload = \"replace\"\n"
            ),
        );
    }

    /// At the shop.
    fn sql(&self, statements: &str) -> String {
        self.cluster.sql(&self.shop, statements)
    }

    fn at_central(&self, statements: &str) -> String {
        self.cluster.sql(&self.central, statements)
    }

    /// Fails unless both hold the same rows, by PostgreSQL's own text of them.
    #[track_caller]
    fn assert_same(&self) {
        let rows = "SELECT t::text FROM stock t ORDER BY sku, store";
        let (shop, central) = (self.sql(rows), self.at_central(rows));
        assert_eq!(shop.lines().count(), central.lines().count());
        for (shop, central) in shop.lines().zip(central.lines()) {
            assert_eq!(shop, central);
        }
    }

    fn trade(&self) {
        self.sql(
            "BEGIN; UPDATE stock SET qty = qty + 1, note = NULL WHERE sku % 7 = 0; DELETE FROM stock WHERE sku % 11 = 5; \
             UPDATE stock SET sku = sku + 10000 WHERE sku BETWEEN 20 AND 30; \
             INSERT INTO stock SELECT i, 9, i FROM generate_series(600, 650) i ON CONFLICT DO NOTHING; COMMIT",
        );
        self.sql("BEGIN; DELETE FROM stock; ROLLBACK");
        self.sql("UPDATE stock SET extra = extra || '{\"more\": [1, 2.50]}', weight = 'NaN' WHERE sku % 5 = 1");
    }
}

#[test]
fn postgres_is_the_same_in_all_three_modes() {
    for mode in ["event", "batch", "hybrid"] {
        let stock = Stock::new(mode);
        stock.project.expect("check --online", 0);
        stock.project.expect("run stock --once", 0);
        stock.assert_same();
        stock.trade();
        stock.project.expect("run stock --once", 0);
        stock.assert_same();
        let types = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute \
                     WHERE attrelid = 'stock'::regclass AND attnum > 0 ORDER BY 1";
        assert_eq!(stock.sql(types), stock.at_central(types), "{mode}");
    }
}

/// A run between tables that are declared alike hands rows on unread: also values that have no place in a neutral type.
/// A mask, a condition or another declaration has them read.
#[test]
fn postgres_batch_hands_rows_on_unread_between_tables_that_are_alike() {
    let stock = Stock::new("batch");
    stock.sql(
        "ALTER TABLE stock DROP COLUMN tags; UPDATE stock SET seen = 'infinity' WHERE sku = 7",
    );
    let said = stock.project.expect("run stock --once --json", 0);
    assert_eq!(said.summary()["rows_out"], 500, "{}", said.out);
    stock.assert_same();
    stock.trade();
    stock.project.expect("run stock --once", 0);
    stock.assert_same();
    stock.at_central("ALTER TABLE stock ALTER COLUMN qty TYPE bigint");
    let refused = stock.project.expect("run stock --once", 65);
    assert!(refused.err.contains("as_text = \"timestamp\""), "{}", refused.err);
    stock.sql("UPDATE stock SET seen = now() WHERE sku = 7");
    stock.project.expect("run stock --once", 0);
    stock.assert_same();
    let sites = std::fs::read_to_string(stock.project.path("sites.toml")).unwrap();
    stock.project.write(
        "sites.toml",
        sites.replace("[central]", "mask = { stock = { note = \"mask\" } }\n[central]"),
    );
    stock.at_central("ALTER TABLE stock ALTER COLUMN qty TYPE int");
    stock.project.expect("run stock --once", 0);
    assert_eq!(stock.at_central("SELECT count(*) FROM stock WHERE note LIKE 'note %'").trim(), "0");
}

/// PostgreSQL does not send a large value that an update leaves as it was; it stands at the target all the same, and no
/// change is set aside for it.
#[test]
fn postgres_updates_that_leave_large_values_alone_arrive_in_part() {
    let stock = Stock::new("hybrid");
    stock.sql(
        "ALTER TABLE stock ALTER COLUMN note SET STORAGE EXTERNAL; \
         UPDATE stock SET note = repeat('long ', 4000) WHERE sku <= 40",
    );
    stock.project.expect("run stock --once", 0);
    stock.sql("UPDATE stock SET qty = qty + 1");
    stock.sql(
        "BEGIN; UPDATE stock SET note = repeat('other ', 4000) WHERE sku = 1; \
         UPDATE stock SET price = 1 WHERE sku IN (1, 2); UPDATE stock SET weight = 2 WHERE sku IN (1, 2); \
         UPDATE stock SET note = NULL WHERE sku = 3; UPDATE stock SET qty = 0 WHERE sku = 3; COMMIT",
    );
    let said = stock.project.expect("run stock --once", 0);
    stock.assert_same();
    assert!(!said.out.contains("set aside"), "{}", said.out);
    assert_eq!(
        stock.at_central("SELECT count(*) FROM stock WHERE length(note) > 8000").trim(),
        "39"
    );
    stock.project.expect("reconcile stock", 0);
}

#[test]
fn postgres_differences_are_named_and_repaired() {
    let stock = Stock::new("hybrid");
    stock.project.expect("run stock --once", 0);
    stock.at_central("UPDATE stock SET qty = -1 WHERE sku = 3; DELETE FROM stock WHERE sku = 4");
    stock.at_central("INSERT INTO stock (sku, store, qty) VALUES (9999, 1, 1)");
    let ended = stock.project.expect("diff stock --json", 2);
    assert_eq!(ended.summary()["differences"], 3, "{}", ended.out);
    stock.project.expect("reconcile stock --repair --max-share 5", 0);
    stock.assert_same();
    let ended = stock.project.expect("reconcile stock --json", 0);
    assert_eq!(ended.summary()["verdict"], "EQUAL");
}

/// A shop that trades all the time.
struct Trading {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Trading {
    fn start(stock: &Stock) -> Trading {
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (cluster, shop) = (stock.cluster.clone(), stock.shop.clone());
        let (stopped, counted) = (stop.clone(), done.clone());
        let thread = std::thread::spawn(move || {
            let mut n = 0;
            while !stopped.load(Ordering::SeqCst) {
                n += 1;
                let statements = format!(
                    "BEGIN; UPDATE stock SET qty = {n} WHERE sku = {} ; UPDATE stock SET note = '{n}' WHERE sku = {}; COMMIT",
                    n % 500,
                    n * 7 % 500
                );
                // A server that is down now is traded with later.
                if cluster.try_sql(&shop, &statements).is_ok() {
                    counted.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Trading { stop, done, thread: Some(thread) }
    }

    fn wait_for(&self, more: u64) {
        let until = self.done.load(Ordering::SeqCst) + more;
        wait_until("the shop trades", || self.done.load(Ordering::SeqCst) >= until);
    }

    fn stop(mut self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn postgres_loses_nothing_when_server_and_engine_are_killed_under_a_writer() {
    let stock = Stock::new("event");
    stock.project.expect("run stock --once", 0);
    let trading = Trading::start(&stock);
    for round in 0..3 {
        let mut engine = EngineProcess::start(&stock.project);
        trading.wait_for(20);
        if round == 1 {
            stock.cluster.kill().unwrap();
            stock.cluster.resume().unwrap();
            trading.wait_for(20);
        }
        assert!(engine.lives());
        engine.kill();
        trading.wait_for(10);
    }
    trading.stop();
    stock.project.expect("run stock --once", 0);
    stock.assert_same();
    let ended = stock.project.expect("reconcile stock --json", 0);
    assert_eq!(ended.summary()["verdict"], "EQUAL");
}
