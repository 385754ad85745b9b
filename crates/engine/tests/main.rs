//! The engine on in-memory sources, targets and log.
#![allow(clippy::unwrap_used)]

#[path = "main/flows.rs"]
mod flows;
#[path = "main/ledger.rs"]
mod ledger;
#[path = "main/model.rs"]
mod model;
#[path = "main/parking.rs"]
mod parking;
#[path = "main/world.rs"]
mod world;
