//! Logging in for replication: every way that servers ask for, over TLS, a Unix socket and in the clear.

use crate::postgres_application::{drain, failure};
use crate::postgres_place::settings;
use crate::postgres_tls::{Authority, cluster, file};
use connect::component::Connector;
use connect::source::{ChangeReader, Resume};
use connect::{Kind, Result};
use seamount_connectors::postgres::Postgres;
use servers::Cluster;

fn capture(url: &str) -> Result<Box<dyn ChangeReader>> {
    let mut source = Postgres::new("postgres").source(&settings(url))?;
    source.capture(&["items".into()], &Resume::Fresh)
}

/// Lets the two roles in by their ways, and everybody else as before.
fn rules(cluster: &Cluster) {
    let rules = "host all seamount 127.0.0.1/32 trust\nlocal all seamount trust\n\
                 host all modern 127.0.0.1/32 scram-sha-256\nlocal all modern scram-sha-256\n\
                 host all old 127.0.0.1/32 md5\nlocal all plain password\n";
    std::fs::write(cluster.data_folder().join("pg_hba.conf"), rules).unwrap();
    cluster.sql(
        "postgres",
        "CREATE TABLE items (id int PRIMARY KEY);
         SET password_encryption = 'scram-sha-256'; CREATE ROLE modern SUPERUSER REPLICATION LOGIN PASSWORD 'tr0ub4dor';
         CREATE ROLE plain SUPERUSER REPLICATION LOGIN PASSWORD 'tr0ub4dor';
         SET password_encryption = 'md5'; CREATE ROLE old SUPERUSER REPLICATION LOGIN PASSWORD 'tr0ub4dor';
         SELECT pg_reload_conf()",
    );
    while cluster.sql("postgres", "SELECT count(*) FROM pg_hba_file_rules") != "6" {}
}

fn captures(cluster: &Cluster, url: &str) {
    let mut reader = capture(url).unwrap_or_else(|e| panic!("{url}: {e:?}"));
    cluster.sql(
        "postgres",
        "SET synchronous_commit = on; TRUNCATE items; INSERT INTO items VALUES (1)",
    );
    let changes: usize = drain(reader.as_mut()).iter().map(|group| group.changes()).sum();
    assert_eq!(changes, 2, "{url}");
}

#[test]
fn every_way_to_log_in_leads_to_the_changes() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let roots = file(&folder, &authority);
    let cluster = cluster(authority.server("localhost", 2100), &[]);
    rules(&cluster);
    let (port, socket) = (cluster.port(), cluster.socket_folder().display().to_string());
    let socket = socket.replace('/', "%2F");
    let tls = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    for url in [
        format!("postgres://modern:tr0ub4dor@127.0.0.1:{port}/postgres"),
        format!("postgres://old:tr0ub4dor@127.0.0.1:{port}/postgres"),
        format!("postgres://modern:tr0ub4dor@localhost:{port}/postgres?{tls}"),
        format!("postgres://modern:tr0ub4dor@{socket}:{port}/postgres"),
        format!("postgres://plain:tr0ub4dor@{socket}:{port}/postgres"),
        // The first one is nobody.
        format!("postgres://modern:tr0ub4dor@127.0.0.1:1,127.0.0.1:{port}/postgres"),
    ] {
        captures(&cluster, &url);
    }
    for url in [
        format!("postgres://modern:wr0ng@127.0.0.1:{port}/postgres"),
        format!("postgres://nobody:wr0ng@127.0.0.1:{port}/postgres"),
    ] {
        let error = failure(capture(&url));
        assert_eq!(error.kind, Kind::Invalid, "{error}");
        assert!(!format!("{error:?}").contains("wr0ng"), "{error:?}");
    }
}

/// Many rows over TLS: frames that are torn over its records come together again.
#[test]
fn a_long_stream_over_tls_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let roots = file(&folder, &authority);
    let cluster = cluster(authority.server("localhost", 2100), &[]);
    cluster.sql("postgres", "CREATE TABLE items (id int PRIMARY KEY, t text)");
    let url = format!(
        "postgres://seamount@localhost:{}/postgres?sslmode=verify-full&sslrootcert={}",
        cluster.port(),
        roots.display()
    );
    let mut reader = capture(&url).unwrap();
    cluster.sql(
        "postgres",
        "SET synchronous_commit = on;
         INSERT INTO items SELECT n, repeat('t', n % 900) FROM generate_series(1, 20000) n",
    );
    let changes: usize = drain(reader.as_mut()).iter().map(|group| group.changes()).sum();
    assert_eq!(changes, 20_000);
}
