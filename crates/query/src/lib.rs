//! SQL for flows: what a statement is, rows through a compiled filter and projection, bounded relational runs.
//! The only crate that knows DataFusion.
//!
//! Not here: modes, keys, checks, targets; they ask through the traits of `connect`.
//!
//! What holds for every statement:
//! - Names are taken as they are written: `InvoiceNo` and `invoiceno` are two columns, quoted or not.
//! - `0.1` is an exact decimal. Results are mapped to exact column types or refused ([`connect::Kind::Invalid`]
//!   when the statement can be told to be inexact, [`connect::Kind::Refused`] when a row shows it).
//! - Integer and decimal arithmetic that overflows, sums included, is an error; so is a cast that does not fit.
//!   Never a null, never a wrapped number. What SQL rounds because it was asked to (`cast` to fewer digits,
//!   decimal division, `avg`), it rounds.
//! - It reads and does nothing else: one `select`, over the tables it is given, with bounded memory and time. No file,
//!   setting, catalogue or other table can be reached from it.
//! - The same rows give the same result: `now()`, `random()` and their like are refused.

mod classify;
mod columns;
mod exact;
mod failure;
mod meter;
mod plan;
mod row;
mod run;
mod sum;

pub use plan::Sql;
