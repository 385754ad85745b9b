//! The scenery of most tests: one shop with a table `stock`, one centre, one flow between them.

use crate::project::Project;
use rusqlite::{Connection, params};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::JoinHandle;

pub(crate) const PROJECT: &str = "name = \"trial\"\n";

pub(crate) const SITES: &str = "[shop]\nurl = \"sqlite:shop.db\"\nbusy_timeout_ms = 30000\n\n\
     [central]\nurl = \"sqlite:central.db\"\nbusy_timeout_ms = 30000\n";

/// The flow `stock` in a mode, with more lines behind.
pub(crate) fn flow(mode: &str, more: &str) -> String {
    format!(
        "mode = \"{mode}\"\n[from]\nsites = \"shop\"\ntable = \"stock\"\n\
         [to]\nsite = \"central\"\ntable = \"stock\"\n{more}"
    )
}

/// A project whose shop holds some articles.
pub(crate) fn project(mode: &str, more: &str, articles: i64) -> Project {
    let project = Project::new(&[
        ("seamount.toml", PROJECT),
        ("sites.toml", SITES),
        ("flows/stock.toml", &flow(mode, more)),
    ]);
    let shop = project.db("shop.db");
    build(&shop);
    fill(&shop, articles);
    project
}

/// The shop's table.
pub(crate) fn build(shop: &Connection) {
    shop.execute_batch(
        "pragma journal_mode = wal;
         create table stock (sku text not null primary key, qty integer, price decimal(10,2),
                             note text)",
    )
    .unwrap();
}

/// Articles 1 to `articles`.
pub(crate) fn fill(shop: &Connection, articles: i64) {
    shop.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < ?1)
         insert into stock
         select printf('sku-%05d', i), i * 37 % 90 + 10, printf('%d.%02d', i % 70, i % 100),
                case i % 7 when 0 then null else 'note ' || i end from n where ?1 > 0",
        [articles],
    )
    .unwrap();
}

/// One transaction of the shop, another one for each number: inserts, updates, deletes and replacements.
pub(crate) fn trade(shop: &mut Connection, number: i64) {
    let sku = |n: i64| format!("sku-{:05}", n % 400 + 1);
    let transaction =
        shop.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).unwrap();
    let a = sku(number * 31);
    transaction
        .execute("update stock set qty = qty + 1, note = ?2 where sku = ?1", params![a, number])
        .unwrap();
    match number % 4 {
        0 => {
            let values = params![sku(number * 17), number, format!("{}.50", number % 90)];
            let sql = "insert or replace into stock (sku, qty, price) values (?1, ?2, ?3)";
            transaction.execute(sql, values).unwrap();
        }
        1 => {
            transaction.execute("delete from stock where sku = ?1", [sku(number * 13)]).unwrap();
        }
        2 => {
            let values = params![format!("new-{number}"), number];
            transaction.execute("insert into stock (sku, qty) values (?1, ?2)", values).unwrap();
        }
        _ => {
            let sql = "update or ignore stock set sku = ?2 where sku = ?1";
            transaction
                .execute(sql, params![sku(number * 7), format!("moved-{}", number % 50)])
                .unwrap();
        }
    }
    transaction.commit().unwrap();
}

/// A thread that trades until it is told to stop.
pub(crate) struct Trading {
    stop: Arc<AtomicBool>,
    made: Arc<AtomicI64>,
    thread: Option<JoinHandle<i64>>,
}

impl Trading {
    /// Starts; `from` is the number of the first transaction.
    pub(crate) fn start(project: &Project, from: i64) -> Trading {
        let (stop, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicI64::new(0)));
        let (asked, count, mut shop) = (stop.clone(), made.clone(), project.db("shop.db"));
        let thread = std::thread::spawn(move || {
            let mut number = from;
            while !asked.load(Ordering::SeqCst) {
                trade(&mut shop, number);
                number += 1;
                count.fetch_add(1, Ordering::SeqCst);
                // A shop, not a flood: other connections get their turn at the lock.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            number
        });
        Trading { stop, made, thread: Some(thread) }
    }

    /// Waits until so many more transactions were made.
    pub(crate) fn wait_for(&self, more: i64) {
        let goal = self.made.load(Ordering::SeqCst) + more;
        crate::project::wait_until("the shop has traded", || {
            let over = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!over, "the shop broke down");
            self.made.load(Ordering::SeqCst) >= goal
        });
    }

    /// Stops; returns the number of the next transaction.
    pub(crate) fn stop(mut self) -> i64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Trading {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
