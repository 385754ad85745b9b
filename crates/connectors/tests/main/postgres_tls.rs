//! Control S3 on PostgreSQL: a server is trusted for a certificate of its name by a known authority, or not at all;
//! and what cannot be trusted gets no password.

use connect::read::Readable;
use connect::{Kind, SiteSettings};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use seamount_connectors::postgres::PgSite;
use servers::{Cluster, Recipe};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// An authority, and its certificate in a file.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "an authority for tests");
        let certificate = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), certificate }
    }

    /// Files of a server with a certificate for a name, valid until a year.
    pub(crate) fn server(&self, name: &str, until: i32) -> Vec<(String, String)> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        (params.not_before, params.not_after) =
            (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        vec![("server.crt".into(), certificate.pem()), ("server.key".into(), key.serialize_pem())]
    }
}

pub(crate) fn cluster(files: Vec<(String, String)>, more: &[(&str, &str)]) -> Cluster {
    let mut settings =
        vec![("ssl".to_string(), if files.is_empty() { "off" } else { "on" }.to_string())];
    settings.extend(more.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    Cluster::start(&Recipe { settings, files, ..Recipe::default() }).unwrap()
}

fn site(port: u16, roots: &Path) -> SiteSettings {
    let roots = roots.display();
    let url = format!(
        "postgres://seamount:tr0ub4dor@localhost:{port}/postgres?sslmode=verify-full&sslrootcert={roots}"
    );
    SiteSettings {
        site: "till".into(),
        url: url.into(),
        root: Default::default(),
        options: Default::default(),
        masks: Default::default(),
    }
}

pub(crate) fn file(folder: &TempDir, authority: &Authority) -> PathBuf {
    let file = folder.path().join("roots.pem");
    std::fs::write(&file, &authority.certificate).unwrap();
    file
}

#[test]
fn postgres_servers_are_trusted_for_a_certificate_of_their_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, other) = (Authority::new(), Authority::new());
    let roots = file(&folder, &ours);
    let right = cluster(ours.server("localhost", 2100), &[]);
    let mut opened = PgSite::open(&site(right.port(), &roots)).unwrap();
    assert!(opened.tables().unwrap().is_empty());

    let wrong = [
        ("another authority", other.server("localhost", 2100), vec![]),
        ("another name", ours.server("db.example", 2100), vec![]),
        ("an expired certificate", ours.server("localhost", 2021), vec![]),
        ("no TLS at all", Vec::new(), vec![]),
        (
            "an old TLS",
            ours.server("localhost", 2100),
            vec![("ssl_min_protocol_version", "TLSv1"), ("ssl_max_protocol_version", "TLSv1.1")],
        ),
    ];
    for (what, files, settings) in wrong {
        let cluster = cluster(files, &settings);
        let error = PgSite::open(&site(cluster.port(), &roots)).err();
        let error = error.unwrap_or_else(|| panic!("{what} is trusted"));
        assert!(matches!(error.kind, Kind::Unavailable | Kind::Invalid), "{what}: {error:?}");
        assert!(!format!("{error:?}").contains("tr0ub4dor"), "{error:?}");
    }
}

/// Somebody in between answers that the server has no TLS: nothing more is sent.
#[test]
fn postgres_tls_cannot_be_stripped() {
    let folder = tempfile::tempdir().unwrap();
    let roots = file(&folder, &Authority::new());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let stranger = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        connection.read_exact(&mut request).unwrap();
        connection.write_all(b"N").unwrap();
        let mut more = Vec::new();
        let _ = connection.read_to_end(&mut more);
        more
    });
    assert!(PgSite::open(&site(port, &roots)).is_err());
    assert_eq!(stranger.join().unwrap(), b"", "nothing is sent in the clear");
}
