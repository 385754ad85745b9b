//! Benches on PostgreSQL: two clusters of our own that sync their disks, the finished binary between them, and
//! PostgreSQL's own replication as the anchor.

pub(crate) mod apply;
pub(crate) mod bigtx;
pub(crate) mod capture;
pub(crate) mod copy;
pub(crate) mod latency;
mod native;
mod outside;
mod pair;
mod process;
mod project;
pub(crate) mod reconcile;
pub(crate) mod rivals;
