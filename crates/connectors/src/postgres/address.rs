//! Where a site is and how to log in: its url, the environment, the service file and the password file, as libpq reads
//! them.
//!
//! Invariant: nothing is sent over a network in the clear, and no server is trusted that does not show a certificate
//! of its name, unless the site says so in writing (`sslmode`). A Unix socket and loopback need none.

use super::login::{Surroundings, complete};
use super::types::AsText;
use connect::{Error, Result, SiteSettings};
use postgres::Config;
use postgres::config::Host;
use std::path::PathBuf;
use std::str::FromStr;

/// What TLS a connection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// None: a socket of this machine, or the operator wrote `sslmode=disable`.
    Off,
    /// A certificate that is valid for the server's name; roots of this file, or else of the system.
    VerifyFull { roots: Option<PathBuf> },
}

/// A site's address.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) site: String,
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) as_text: AsText,
}

impl Address {
    /// Reads a site's settings.
    ///
    /// # Errors
    /// `Invalid` when the url is none, or asks for a TLS that can be stripped.
    pub(super) fn of(settings: &SiteSettings) -> Result<Address> {
        let at = |error: Error| error.at(format!("site {}", settings.site));
        let url = settings.url.resolve()?;
        let (url, query) = match url.expose().split_once('?') {
            Some((url, query)) => (url.to_string(), query.to_string()),
            None => (url.expose().to_string(), String::new()),
        };
        let (ours, theirs): (Vec<&str>, Vec<&str>) = query
            .split('&')
            .filter(|part| !part.is_empty())
            .partition(|part| part.starts_with("ssl") || part.starts_with("service="));
        let rest = if theirs.is_empty() { String::new() } else { format!("?{}", theirs.join("&")) };
        let mut config = Config::from_str(&format!("{url}{rest}")).map_err(|_| {
            at(Error::invalid("the url is no address of a PostgreSQL database")
                .fix("write it as postgres://user@host:5432/database"))
        })?;
        let service = ours.iter().find_map(|part| part.strip_prefix("service="));
        let around = Surroundings { variable: &|name| std::env::var(name).ok() };
        complete(&mut config, service, &around).map_err(at)?;
        if config.get_hosts().is_empty() {
            return Err(at(Error::invalid("the url names no host")
                .fix("write it as postgres://user@host:5432/database, or set PGHOST")));
        }
        let tls = tls(&ours, &config).map_err(at)?;
        let as_text = as_text(settings)?;
        Ok(Address { site: settings.site.clone(), config, tls, as_text })
    }
}

fn tls(ours: &[&str], config: &Config) -> Result<Tls> {
    let value =
        |name: &str| ours.iter().find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let roots = value("sslrootcert").map(PathBuf::from);
    match value("sslmode") {
        None if config.get_hosts().iter().all(is_here) => Ok(Tls::Off),
        None | Some("verify-full") => Ok(Tls::VerifyFull { roots }),
        Some("disable") => Ok(Tls::Off),
        Some(mode) => Err(Error::invalid(format!("sslmode={mode} does not keep a stranger out"))
            .fix("use sslmode=verify-full (with sslrootcert=FILE for an authority of your own)")),
    }
}

/// Whether a host is this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
    }
}

fn as_text(settings: &SiteSettings) -> Result<AsText> {
    let mut wanted = AsText::default();
    let Some(option) = settings.option("as_text")? else { return Ok(wanted) };
    for name in option.expose().split(',').map(str::trim) {
        match name {
            "date" => wanted.date = true,
            "timestamp" => wanted.timestamp = true,
            "numeric" => wanted.numeric = true,
            other => {
                return Err(Error::invalid(format!(
                    "site {}: `{other}` cannot be moved as text",
                    settings.site
                ))
                .fix("as_text = \"date, timestamp, numeric\" takes these three"));
            }
        }
    }
    Ok(wanted)
}
