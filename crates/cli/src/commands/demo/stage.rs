//! The scenery of the demo: a project of three stores and a centre in a scratch folder, and what goes wrong there.
//!
//! Everything here is done with plain SQL, as the applications of those stores would: nothing of the engine is used.

use connect::{Error, Result};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, params};
use std::path::{Path, PathBuf};

pub(super) const STORES: [&str; 3] = ["berlin", "madrid", "oslo"];
const ARTICLES: i64 = 400;
const SALES_A_DAY: i64 = 2_000;
const DAYS: [&str; 3] = ["2026-11-21", "2026-11-22", "2026-11-23"];

const PROJECT: &str = "name = \"demo\"\nlog = { kind = \"embedded\", keep = \"30d\" }\n";

const SITES: &str = "[central]\nurl = \"sqlite:central.db\"\n\n[export]\nurl = \"files:export\"\n\n\
    [stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:stores/{site}.db\"\n";

const INVENTORY: &str = "mode  = \"hybrid\"
about = \"Stock of every store in one central table\"

[from]
sites = \"stores\"
table = \"inventory\"
key   = [\"store\", \"sku\"]

[to]
site  = \"central\"
table = \"inventory\"
owner = \"store\"

[reconcile]
schedule = \"0 2 * * *\"
timezone = \"Europe/Berlin\"
repair   = { max_rows = 500, max_share = \"5%\" }
";

const SALES: &str = "mode  = \"batch\"
about = \"Sales of each night's export, by day and store\"

[from]
sites = \"export\"
files = \"{interval}.csv\"
table = \"sales\"
key   = [\"day\", \"store\"]
types = { units = \"int64\", price = \"decimal(10,2)\" }

[to]
site  = \"central\"
table = \"sales_by_day\"

[transform]
sql = \"select day, store, sum(units) as units, sum(units * price) as revenue from sales group by day, store\"

[batch]
load        = \"replace\"
interval_by = \"day\"
check       = [\"count(*) = 3\", \"min(units) > 0\"]
";

/// The demo's folder.
pub(super) struct Stage {
    folder: PathBuf,
}

fn failed(what: &'static str) -> impl Fn(rusqlite::Error) -> Error {
    move |e| Error::unavailable(what).found(e.to_string())
}

impl Stage {
    /// Builds project, stores, centre and export.
    pub(super) fn build(folder: &Path) -> Result<Stage> {
        let stage = Stage { folder: folder.to_path_buf() };
        for (path, text) in [
            ("seamount.toml", PROJECT),
            ("sites.toml", SITES),
            ("stores.csv", "site\nberlin\nmadrid\noslo\n"),
            ("flows/inventory.toml", INVENTORY),
            ("flows/sales.toml", SALES),
        ] {
            stage.write(path, text)?;
        }
        for (n, store) in STORES.iter().enumerate() {
            stage.build_store(store, n)?;
        }
        // The centre has a rule of its own, which one row will break.
        stage.central()?.execute_batch(
            "create table inventory (store text not null, sku text not null, qty integer check (qty >= 0),
                                     updated text, primary key (store, sku))",
        ).map_err(failed("the centre cannot be built"))?;
        for day in DAYS {
            stage.write(&format!("export/{day}.csv"), &export(day))?;
        }
        Ok(stage)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let path = self.folder.join(path);
        let done = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        done.and_then(|()| std::fs::write(&path, text)).map_err(|e| {
            Error::unavailable(format!("{} cannot be written", path.display())).caused_by(e)
        })
    }

    fn build_store(&self, store: &str, number: usize) -> Result<()> {
        std::fs::create_dir_all(self.folder.join("stores"))
            .map_err(|e| Error::unavailable("the stores cannot be built").caused_by(e))?;
        let db = self.store(store)?;
        db.execute_batch(
            "pragma journal_mode = wal;
             create table inventory (store text not null, sku text not null, qty integer, updated text,
                                     primary key (store, sku))",
        )
        .map_err(failed("a store cannot be built"))?;
        let fill = format!(
            "with recursive n(i) as (select 1 union all select i + 1 from n where i < {ARTICLES})
             insert into inventory
             select '{store}', printf('sku-%04d', i), (i * 37 + {number}) % 90 + 10, '2026-11-23' from n"
        );
        db.execute_batch(&fill).map_err(failed("a store cannot be filled"))
    }

    pub(super) fn store(&self, store: &str) -> Result<Connection> {
        Connection::open(self.folder.join(format!("stores/{store}.db")))
            .map_err(failed("a store cannot be opened"))
    }

    pub(super) fn central(&self) -> Result<Connection> {
        Connection::open(self.folder.join("central.db"))
            .map_err(failed("the centre cannot be opened"))
    }

    /// An hour of business at every store: `count` sales, each a transaction of its own.
    pub(super) fn trade(&self, count: i64) -> Result<()> {
        for (n, store) in (0..).zip(STORES) {
            let db = self.store(store)?;
            for i in 0..count {
                let article = (i * 31 + n * 7) % ARTICLES + 1;
                db.execute(
                    "update inventory set qty = case when qty > 3 then qty - 1 else qty + 50 end,
                                          updated = '2026-11-24' where sku = printf('sku-%04d', ?1)",
                    [article],
                )
                .map_err(failed("a sale cannot be written"))?;
            }
        }
        Ok(())
    }

    /// A sale that the capture never sees: its connection has triggers switched off.
    pub(super) fn lose_an_event(&self) -> Result<()> {
        let db = self.store("madrid")?;
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)
            .and_then(|_| db.execute("update inventory set qty = 77 where sku = 'sku-0123'", []))
            .map_err(failed("the event cannot be lost"))?;
        Ok(())
    }

    /// Somebody corrects the centre by hand: one row doubled under another key, one changed.
    pub(super) fn meddle(&self) -> Result<()> {
        self.central()?
            .execute_batch(
                "insert into inventory select store, sku || '-copy', qty, updated from inventory
                     where store = 'berlin' and sku = 'sku-0007';
                 update inventory set qty = qty + 1000 where store = 'oslo' and sku = 'sku-0042'",
            )
            .map_err(failed("the centre cannot be changed"))
    }

    /// A stock count below zero, which the centre's rule forbids.
    pub(super) fn count_below_zero(&self, qty: i64) -> Result<()> {
        self.store("berlin")?
            .execute("update inventory set qty = ?1 where sku = 'sku-0200'", [qty])
            .map_err(failed("the count cannot be written"))?;
        Ok(())
    }

    /// A store's disk goes away, or comes back.
    pub(super) fn power(&self, store: &str, on: bool) -> Result<()> {
        for suffix in ["", "-wal", "-shm"] {
            let here = self.folder.join(format!("stores/{store}.db{suffix}"));
            let away = self.folder.join(format!("stores/{store}.db{suffix}.away"));
            let (from, to) = if on { (away, here) } else { (here, away) };
            if from.exists() {
                std::fs::rename(&from, &to)
                    .map_err(|e| Error::unavailable("the store cannot be moved").caused_by(e))?;
            }
        }
        Ok(())
    }

    /// The oracle: rows of the stores that are not in the centre, or in the centre and not in the stores, by SQL
    /// alone; and the number of rows at the stores.
    pub(super) fn compare(&self) -> Result<(u64, u64)> {
        let db = self.central()?;
        let (mut rows, mut wrong) = (0, 0);
        for store in STORES {
            let path = self.folder.join(format!("stores/{store}.db"));
            let path = path.to_string_lossy().into_owned();
            let count = |sql: &str| -> rusqlite::Result<i64> {
                db.query_row(sql, params![store], |row| row.get(0))
            };
            db.execute("attach ?1 as store", [path]).map_err(failed("a store cannot be read"))?;
            let columns = "store, sku, qty, updated";
            let here = format!("select {columns} from main.inventory where store = ?1");
            let there = format!("select {columns} from store.inventory where store = ?1");
            let counted = count("select count(*) from store.inventory where store = ?1")
                .and_then(|n| {
                    let missing = count(&format!("select count(*) from ({there} except {here})"))?;
                    let extra = count(&format!("select count(*) from ({here} except {there})"))?;
                    Ok((n, missing.max(extra)))
                })
                .map_err(failed("stores and centre cannot be compared"))?;
            db.execute("detach store", []).map_err(failed("a store cannot be let go"))?;
            rows += counted.0.unsigned_abs();
            wrong += counted.1.unsigned_abs();
        }
        Ok((rows, wrong))
    }
}

/// One night's export.
fn export(day: &str) -> String {
    let mut text = String::from("day,store,sku,units,price\n");
    for i in 0..SALES_A_DAY {
        let store = STORES[usize::try_from(i % 3).unwrap_or(0)];
        let (units, cents) = (i % 5 + 1, i * 7 % 2000 + 99);
        let sku = i % ARTICLES + 1;
        text.push_str(&format!(
            "{day},{store},sku-{sku:04},{units},{}.{:02}\n",
            cents / 100,
            cents % 100
        ));
    }
    text
}
