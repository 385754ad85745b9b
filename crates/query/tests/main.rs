//! The integration tests of `query`, in one binary.
#![allow(clippy::unwrap_used)]

#[path = "main/classify.rs"]
mod classify;
#[path = "main/data.rs"]
mod data;
#[path = "main/escapes.rs"]
mod escapes;
#[path = "main/exactness.rs"]
mod exactness;
#[path = "main/hostile.rs"]
mod hostile;
#[path = "main/row_wise.rs"]
mod row_wise;
#[path = "main/running.rs"]
mod running;
#[path = "main/same.rs"]
mod same;
