//! Suites that say whether an implementation keeps the promises of the edges, for sources, targets and logs.
//!
//! They are ordinary code, not tests: a connector's own tests call [`target::all`] with a harness that makes
//! sites of its system. They panic where a promise is broken. That each check can fail is shown by this crate's
//! tests, one deliberately wrong implementation for each.

mod check;
pub mod log;
mod read;
pub mod source;
pub mod target;
pub mod values;

pub use check::{Arranged, Check, Outcome};
