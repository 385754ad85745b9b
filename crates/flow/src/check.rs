//! From what is written to what can run: every contradiction is found here, before anything is touched.
//!
//! Checks report to the file in which the mistake is; none of them stops at its first finding. `online` asks the
//! sites, all others look at the files alone.

pub mod across;
pub mod flow;
pub mod loads;
pub mod online;
pub(crate) mod shapes;
pub mod sites;
pub mod stores;
pub mod tables;
pub(crate) mod targets;
pub mod template;
pub mod times;
