//! The binary, end to end: real projects in scratch folders, real databases, and plain SQL that knows what is right.
//!
//! Nothing of the engine is linked here. What these tests say is what somebody at a terminal would see.

#![allow(clippy::unwrap_used)]

#[path = "main/audit_log.rs"]
mod audit_log;
#[path = "main/bad_input.rs"]
mod bad_input;
#[path = "main/batch.rs"]
mod batch;
#[path = "main/canaries.rs"]
mod canaries;
#[path = "main/certified.rs"]
mod certified;
#[path = "main/engine_process.rs"]
mod engine_process;
#[path = "main/first_hour.rs"]
mod first_hour;
#[path = "main/hardship.rs"]
mod hardship;
#[path = "main/ledger.rs"]
mod ledger;
#[path = "main/letters.rs"]
mod letters;
#[path = "main/long_service.rs"]
mod long_service;
#[path = "main/masks.rs"]
mod masks;
#[path = "main/modes.rs"]
mod modes;
#[path = "main/mutated.rs"]
mod mutated;
#[path = "main/oracle.rs"]
mod oracle;
#[path = "main/output.rs"]
mod output;
#[path = "main/postgres.rs"]
mod postgres;
#[path = "main/project.rs"]
mod project;
#[path = "main/proving.rs"]
mod proving;
#[path = "main/second_engine.rs"]
mod second_engine;
#[path = "main/service.rs"]
mod service;
#[path = "main/sites_say_no.rs"]
mod sites_say_no;
#[path = "main/stock.rs"]
mod stock;
#[path = "main/surprises.rs"]
mod surprises;
#[path = "main/transactions.rs"]
mod transactions;
#[path = "main/vacuous.rs"]
mod vacuous;
