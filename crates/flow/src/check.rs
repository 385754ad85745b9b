//! From what is written to what can run: every contradiction is found here, before anything is touched.
//!
//! Checks report to the file in which the mistake is; none of them stops at its first finding. `online` asks the
//! sites, all others look at the files alone.

pub(crate) mod across;
pub(crate) mod flow;
pub(crate) mod loads;
pub(crate) mod masks;
pub mod online;
pub(crate) mod shapes;
pub(crate) mod sites;
pub(crate) mod stores;
pub(crate) mod tables;
pub(crate) mod targets;
pub mod template;
pub(crate) mod times;
