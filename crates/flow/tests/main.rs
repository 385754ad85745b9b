//! What users of this crate rely on: loading, diagnostics, schedules, explanations.
#![allow(clippy::unwrap_used)]

#[path = "main/beginnings.rs"]
mod beginnings;
#[path = "main/catalogue.rs"]
mod catalogue;
#[path = "main/golden.rs"]
mod golden;
#[path = "main/loading.rs"]
mod loading;
#[path = "main/masks.rs"]
mod masks;
#[path = "main/mutated.rs"]
mod mutated;
#[path = "main/online.rs"]
mod online;
#[path = "main/project.rs"]
mod project;
#[path = "main/schedules.rs"]
mod schedules;
