//! What the connectors promise, against real databases and files; one module for each system and role.
#![allow(clippy::unwrap_used)]

#[path = "main/files.rs"]
mod files;
#[cfg(unix)]
#[path = "main/files_beneath.rs"]
mod files_beneath;
#[path = "main/files_csv.rs"]
mod files_csv;
#[path = "main/files_limits.rs"]
mod files_limits;
#[path = "main/postgres_application.rs"]
mod postgres_application;
#[path = "main/postgres_capture.rs"]
mod postgres_capture;
#[path = "main/postgres_capture_changes.rs"]
mod postgres_capture_changes;
#[path = "main/postgres_capture_identity.rs"]
mod postgres_capture_identity;
#[path = "main/postgres_capture_load.rs"]
mod postgres_capture_load;
#[path = "main/postgres_capture_login.rs"]
mod postgres_capture_login;
#[path = "main/postgres_grants.rs"]
mod postgres_grants;
#[path = "main/postgres_place.rs"]
mod postgres_place;
#[path = "main/postgres_read.rs"]
mod postgres_read;
#[path = "main/postgres_replica.rs"]
mod postgres_replica;
#[path = "main/postgres_site.rs"]
mod postgres_site;
#[path = "main/postgres_target.rs"]
mod postgres_target;
#[path = "main/postgres_target_crash.rs"]
mod postgres_target_crash;
#[path = "main/postgres_target_publish.rs"]
mod postgres_target_publish;
#[path = "main/postgres_target_rights.rs"]
mod postgres_target_rights;
#[path = "main/postgres_target_swap.rs"]
mod postgres_target_swap;
#[path = "main/postgres_target_tables.rs"]
mod postgres_target_tables;
#[path = "main/postgres_tls.rs"]
mod postgres_tls;
#[path = "main/postgres_unread.rs"]
mod postgres_unread;
#[path = "main/sqlite_capture.rs"]
mod sqlite_capture;
#[path = "main/sqlite_capture_histories.rs"]
mod sqlite_capture_histories;
#[path = "main/sqlite_capture_identity.rs"]
mod sqlite_capture_identity;
#[path = "main/sqlite_capture_schema.rs"]
mod sqlite_capture_schema;
#[path = "main/sqlite_read.rs"]
mod sqlite_read;
#[path = "main/sqlite_site.rs"]
mod sqlite_site;
#[path = "main/sqlite_target.rs"]
mod sqlite_target;
#[path = "main/sqlite_target_crash.rs"]
mod sqlite_target_crash;
#[path = "main/sqlite_target_publish.rs"]
mod sqlite_target_publish;
