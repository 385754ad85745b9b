//! What the connectors promise, against real databases and files; one module for each system and role.
#![allow(clippy::unwrap_used)]
