//! Tests that need the inside of the crate: frames bit by bit, a disk that fills up, the suite of `connect`.
#![allow(clippy::unwrap_used)]

mod conformance;
mod frames;
mod random;
