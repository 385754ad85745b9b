//! The bank's tables, and the statements of its transactions: what an application does to a database, in PostgreSQL's own
//! words. Nothing here runs them.
//!
//! Invariant of every transaction: the sums over `account.balance`, `branch.balance` and `history.amount` are one number.

/// Tellers: connections that write at once.
pub(crate) const TELLERS: u32 = 4;

/// Accounts up to this number are never closed: they take over what a closed one held.
pub(crate) const KEPT_ACCOUNTS: u64 = 100;

/// The highest number of an account.
pub(crate) const ACCOUNTS: u64 = 2_000;

/// Articles.
pub(crate) const ARTICLES: u64 = 60;

/// Numbers of a teller's history: each has so many.
pub(crate) const NUMBERS: i64 = 10_000_000_000;

/// The tables: name and columns.
pub(crate) const TABLES: [(&str, &str); 5] = [
    ("account", "id, branch, balance, note"),
    ("branch", "id, balance"),
    ("history", "id, account, amount, at, memo"),
    ("item", "article, shelf, qty, price, note, paper"),
    ("teller", "id, n"),
];

/// Tables and first rows. PostgreSQL sends a large value that did not change only with the whole old row: `item`.
pub(crate) const SETUP: &str = "
CREATE TABLE account (id bigint PRIMARY KEY, branch int NOT NULL, balance bigint NOT NULL, note text);
CREATE TABLE branch (id int PRIMARY KEY, balance bigint NOT NULL);
CREATE TABLE history (id bigint PRIMARY KEY, account bigint NOT NULL, amount bigint NOT NULL, at timestamptz NOT NULL, memo text);
CREATE TABLE item (article int, shelf int, qty int NOT NULL, price numeric(12,4), note text, paper text, PRIMARY KEY (article, shelf));
ALTER TABLE item ALTER paper SET STORAGE EXTERNAL;
ALTER TABLE item REPLICA IDENTITY FULL;
CREATE TABLE teller (id int PRIMARY KEY, n bigint NOT NULL);
INSERT INTO branch SELECT i, 0 FROM generate_series(0, 9) i;
INSERT INTO account SELECT i, i % 10, 0, 'opened ' || i FROM generate_series(1, 2000) i;
INSERT INTO item SELECT a, s, a * s, s / 7.0, 'shelf ' || s, CASE WHEN s % 5 = 0 THEN repeat(md5(a || '/' || s), 90) END
  FROM generate_series(1, 60) a, generate_series(1, 20) s;
INSERT INTO teller SELECT i, 0 FROM generate_series(1, 4) i;
";

/// At the target, behind the first load: counts each effect on `history`, whose rows are only ever inserted and deleted.
pub(crate) const EFFECTS: &str = "
CREATE TABLE effects (op text NOT NULL, id bigint NOT NULL);
CREATE FUNCTION count_effect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO public.effects VALUES (TG_OP, CASE WHEN TG_OP = 'DELETE' THEN OLD.id ELSE NEW.id END); RETURN NULL; END $$;
CREATE TRIGGER counted AFTER INSERT OR UPDATE OR DELETE ON history FOR EACH ROW EXECUTE FUNCTION count_effect();
";

/// Effects that came to pass twice, or should never have.
pub(crate) const TWICE: &str = "SELECT count(*) FROM (SELECT 1 FROM effects GROUP BY op, id \
     HAVING count(*) > 1 OR op = 'UPDATE') twice";

/// The three sums and what every teller has done, of one moment.
pub(crate) const SUMS: &str = "SELECT (SELECT sum(balance) FROM account)::bigint, (SELECT sum(balance) FROM branch)::bigint, \
     coalesce((SELECT sum(amount) FROM history), 0)::bigint, (SELECT array_agg(n ORDER BY id) FROM teller)";

/// `$1` moves to an account `$2`, under history number `$3`: PostgreSQL's own benchmark, but for its answer.
pub(crate) const MOVE: [&str; 2] = [
    "WITH moved AS (UPDATE account SET balance = balance + $1::bigint WHERE id = $2::bigint RETURNING branch, id), \
     booked AS (UPDATE branch SET balance = balance + $1 WHERE id = (SELECT branch FROM moved)) \
     INSERT INTO history SELECT $3::bigint, id, $1, clock_timestamp(), 'moved' FROM moved",
    "SELECT balance FROM account WHERE id = $1::bigint",
];

/// Account `$1` is closed, `$2` takes what it held, at whatever branch that is.
pub(crate) const CLOSE: &str = "WITH gone AS (DELETE FROM account WHERE id = $1::bigint RETURNING balance) \
     UPDATE account SET balance = balance + (SELECT balance FROM gone) WHERE id = $2::bigint AND EXISTS (SELECT 1 FROM gone)";

/// Account `$1` is opened, unless it is there.
pub(crate) const OPEN: &str = "INSERT INTO account VALUES ($1::bigint, $1::bigint % 10, 0, 'opened again') ON CONFLICT DO NOTHING";

/// The oldest numbers of the history from `$1` to below `$2` become one, `$3`.
pub(crate) const FOLD: &str = "WITH gone AS (DELETE FROM history WHERE id IN \
     (SELECT id FROM history WHERE id >= $1::bigint AND id < $2::bigint ORDER BY id LIMIT 6) RETURNING amount) \
     INSERT INTO history SELECT $3::bigint, 0, sum(amount), clock_timestamp(), NULL FROM gone HAVING count(*) > 0";

/// Two shelves `$2` and `$3` of article `$1` change places: three changes of a key.
pub(crate) const SWAP: [&str; 3] = [
    "UPDATE item SET shelf = -1 WHERE article = $1::int AND shelf = $2::int",
    "UPDATE item SET shelf = $2::int WHERE article = $1::int AND shelf = $3::int",
    "UPDATE item SET shelf = $2::int WHERE article = $1::int AND shelf = -1",
];

/// Many rows of article `$1`; `$2` is a shelf.
pub(crate) const STOCK: [&str; 3] = [
    "UPDATE item SET qty = qty + 1, note = CASE WHEN shelf % 3 = 0 THEN NULL ELSE 'counted' END WHERE article = $1::int AND shelf <> $2::int",
    "DELETE FROM item WHERE article = $1::int AND shelf % 7 = $2::int % 7",
    "INSERT INTO item SELECT $1::int, s, s, 1.5, 'new', CASE WHEN s % 4 = 0 THEN repeat(md5(random()::text), 90) END \
     FROM generate_series($2::int, $2::int + 3) s ON CONFLICT (article, shelf) DO UPDATE SET qty = item.qty + 1",
];

/// Whatever is done to article `$1` here is rolled back.
pub(crate) const REGRET: &str = "DELETE FROM item WHERE article = $1::int";

/// A transaction of some size: accounts from `$1` on.
pub(crate) const MUCH: &str = "UPDATE account SET note = 'letter of ' || now() WHERE id BETWEEN $1::bigint AND $1::bigint + 400";

/// Each transaction ends with this: teller `$1` has done `$2`.
pub(crate) const DONE: &str = "UPDATE teller SET n = $2::bigint WHERE id = $1::int";
