//! What the torture lends to others: a TCP proxy that fails on purpose, for tests of connectors that speak over a network.
//!
//! The torture itself is the binary of this crate.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod proxy;
