//! A part of what `cargo x sim` runs, small enough for every `cargo test`; and every seed that failed once.
#![allow(clippy::unwrap_used)]

#[path = "main/kept.rs"]
mod kept;
#[path = "main/worlds.rs"]
mod worlds;
