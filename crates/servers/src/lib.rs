//! Throwaway servers for tests and benches: real ones, in temporary folders, on free ports, gone with their process.
//!
//! Not the place for what a test does with them: the crate knows how a server is made, killed and started again.
//! Invariant: nothing outlives the process that asked for it, however that process ends.

mod guard;
mod postgres;
mod unprivileged;

pub use postgres::{Cluster, Durability, Recipe, is_installed};
