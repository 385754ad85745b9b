//! The bank at the source: tellers that commit transactions until they are told to stop, whatever becomes of the server.
//!
//! A transaction whose commit was not answered may have come to pass or not; the teller goes on with the next number.
//! Invariant: what was answered is known by [`Bank::answered`], and no number above [`Bank::begun`] was ever sent.

use super::bank_sql as sql;
use crate::random::Random;
use anyhow::{Context, Result, anyhow, bail};
use postgres::types::ToSql;
use postgres::{Client, NoTls, Statement, Transaction};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// What all tellers share.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    made: AtomicU64,
    lost: AtomicU64,
    answered: [AtomicI64; sql::TELLERS as usize],
    begun: [AtomicI64; sql::TELLERS as usize],
}

/// The tellers at work.
pub(crate) struct Bank {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Bank {
    /// Opens: every teller is a thread that rests at most so long between two transactions.
    pub(crate) fn open(url: &str, seed: u64, rests_up_to: Duration) -> Bank {
        let shared = Arc::new(Shared::default());
        let threads = (1..=sql::TELLERS)
            .map(|number| {
                let (url, shared) = (url.to_string(), shared.clone());
                let random = Random::part(seed, &format!("teller {number}"));
                std::thread::spawn(move || {
                    let mut teller = Teller { number, n: 0, random, shared };
                    teller.work(&url, rests_up_to).with_context(|| format!("teller {number}"))
                })
            })
            .collect();
        Bank { shared, threads }
    }

    /// Transactions that were answered by now.
    pub(crate) fn made(&self) -> u64 {
        self.shared.made.load(Ordering::SeqCst)
    }

    /// Connections that were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::SeqCst)
    }

    /// The newest number of each teller that the server has said is committed.
    pub(crate) fn answered(&self) -> Vec<i64> {
        self.shared.answered.iter().map(|n| n.load(Ordering::SeqCst)).collect()
    }

    /// The newest number of each teller that may have been sent.
    pub(crate) fn begun(&self) -> Vec<i64> {
        self.shared.begun.iter().map(|n| n.load(Ordering::SeqCst)).collect()
    }

    /// Fails when a teller has broken down.
    ///
    /// # Errors
    /// What it said.
    pub(crate) fn must_live(&mut self) -> Result<()> {
        if let Some(at) = self.threads.iter().position(JoinHandle::is_finished) {
            joined(self.threads.remove(at))?;
            bail!("a teller went home by itself");
        }
        Ok(())
    }

    /// Closes: every teller ends its transaction.
    ///
    /// # Errors
    /// What one of them says.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.threads.drain(..).try_for_each(joined)
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        // What they say was not asked for.
        let _ = self.close();
    }
}

fn joined(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("a teller panicked"))?
}

struct Teller {
    number: u32,
    n: i64,
    random: Random,
    shared: Arc<Shared>,
}

/// How a transaction ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Committed,
    /// By its own wish.
    RolledBack,
}

impl Teller {
    fn work(&mut self, url: &str, rests_up_to: Duration) -> Result<()> {
        while !self.stopped() {
            // A server that is down is asked again.
            let Ok(client) = Client::connect(url, NoTls) else {
                std::thread::sleep(Duration::from_millis(50));
                continue;
            };
            let mut session = Session { client, prepared: HashMap::new() };
            while !self.stopped() {
                match self.transact(&mut session) {
                    Ok(()) => {}
                    Err(error) if may_be_repeated(&error) => {}
                    Err(error) if is_lost(&error) => {
                        self.shared.lost.fetch_add(1, Ordering::SeqCst);
                        break;
                    }
                    Err(error) => return Err(error.into()),
                }
                let rest = u64::try_from(rests_up_to.as_micros()).unwrap_or(u64::MAX);
                std::thread::sleep(Duration::from_micros(self.random.below(rest)));
            }
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
    }

    fn transact(&mut self, session: &mut Session) -> Result<(), postgres::Error> {
        self.n += 1;
        let at = self.number as usize - 1;
        self.shared.begun[at].store(self.n, Ordering::SeqCst);
        let Session { client, prepared } = session;
        let mut work = Work { transaction: client.transaction()?, prepared };
        if self.fill(&mut work)? == Ended::RolledBack {
            return work.transaction.rollback();
        }
        work.run(sql::DONE, &[&self.number.cast_signed(), &self.n])?;
        work.transaction.commit()?;
        self.shared.answered[at].store(self.n, Ordering::SeqCst);
        self.shared.made.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    /// What a transaction does.
    fn fill(&mut self, work: &mut Work<'_>) -> Result<Ended, postgres::Error> {
        let article = i32::try_from(self.random.between(1, sql::ARTICLES)).expect("a small number");
        let shelf = i32::try_from(self.random.between(1, 30)).expect("a small number");
        match self.random.below(100) {
            0..60 => self.moves(work)?,
            60..72 => {
                let (number, first) = (self.history(), self.first());
                work.run(sql::FOLD, &[&first, &(number - 20), &number])?;
            }
            72..80 => {
                let closed = self.account(sql::KEPT_ACCOUNTS + 1);
                let heir = self.random.between(1, sql::KEPT_ACCOUNTS).cast_signed();
                work.run(sql::CLOSE, &[&closed, &heir])?;
                work.run(sql::OPEN, &[&self.account(sql::KEPT_ACCOUNTS + 1)])?;
            }
            80..88 => {
                let other = i32::try_from(self.random.between(1, 30)).expect("a small number");
                if other != shelf {
                    work.run(sql::SWAP[0], &[&article, &shelf])?;
                    work.run(sql::SWAP[1], &[&article, &shelf, &other])?;
                    work.run(sql::SWAP[2], &[&article, &other])?;
                }
            }
            88..96 => {
                for statement in sql::STOCK {
                    work.run(statement, &[&article, &shelf])?;
                }
            }
            96..99 => {
                work.run(sql::REGRET, &[&article])?;
                return Ok(Ended::RolledBack);
            }
            _ => {
                work.run(sql::MUCH, &[&self.account(1)])?;
            }
        }
        Ok(Ended::Committed)
    }

    fn moves(&mut self, work: &mut Work<'_>) -> Result<(), postgres::Error> {
        let amount = self.random.below(10_000).cast_signed() - 5_000;
        let account = self.account(1);
        work.run(sql::MOVE[0], &[&amount, &account, &self.history()])?;
        work.run(sql::MOVE[1], &[&account])?;
        Ok(())
    }

    fn account(&mut self, least: u64) -> i64 {
        self.random.between(least, sql::ACCOUNTS).cast_signed()
    }

    /// The first number of this teller's history.
    fn first(&self) -> i64 {
        i64::from(self.number) * sql::NUMBERS
    }

    /// The number of the history that this transaction may write.
    fn history(&self) -> i64 {
        self.first() + self.n
    }
}

/// A connection, and what was prepared on it.
struct Session {
    client: Client,
    prepared: HashMap<&'static str, Statement>,
}

/// A transaction under way.
struct Work<'a> {
    transaction: Transaction<'a>,
    prepared: &'a mut HashMap<&'static str, Statement>,
}

impl Work<'_> {
    fn run(
        &mut self,
        text: &'static str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, postgres::Error> {
        if !self.prepared.contains_key(text) {
            self.prepared.insert(text, self.transaction.prepare(text)?);
        }
        self.transaction.execute(&self.prepared[text], values)
    }
}

/// Two tellers in each other's way.
fn may_be_repeated(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "40001" | "40P01" | "23505"))
}

/// The server went, or goes.
fn is_lost(error: &postgres::Error) -> bool {
    error.code().is_none_or(|code| matches!(&code.code()[..2], "57" | "08" | "53" | "58"))
}
