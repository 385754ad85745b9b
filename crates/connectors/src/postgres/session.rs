//! An ordinary connection, set so that every value has one text: UTC, ISO dates, shortest exact floats, hex bytes.
//!
//! Not the replication connection: see `capture`, which asks for the same settings.

use super::address::{Address, Tls};
use super::error::failed;
use super::tls;
use connect::{Error, Result};
use postgres::{Client, NoTls};
use std::time::Duration;

/// What a login may take.
const LOGIN: Duration = Duration::from_secs(15);

/// Settings under which text is exact and always the same.
pub(super) const SETTINGS: &str = "-c TimeZone=UTC -c DateStyle=ISO,YMD -c IntervalStyle=postgres -c extra_float_digits=3 \
     -c bytea_output=hex -c lc_monetary=C -c standard_conforming_strings=on -c search_path=pg_catalog,public \
     -c xmloption=content -c quote_all_identifiers=off -c statement_timeout=0 -c idle_in_transaction_session_timeout=0";

/// Logs in.
///
/// # Errors
/// `Unavailable` when the server cannot be reached, `Invalid` when it refuses the login or its certificate is not right.
pub(super) fn connect(address: &Address) -> Result<Client> {
    let mut config = address.config.clone();
    config.application_name("seamount").connect_timeout(LOGIN).options(SETTINGS);
    config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(Duration::from_secs(60));
    let what = format!("cannot log in to site {}", address.site);
    let mut client = match &address.tls {
        Tls::Off => config.ssl_mode(postgres::config::SslMode::Disable).connect(NoTls),
        Tls::VerifyFull { roots } => {
            let maker =
                tls::maker(roots.as_deref()).map_err(|e| e.at(format!("site {}", address.site)))?;
            config.ssl_mode(postgres::config::SslMode::Require).connect(maker)
        }
    }
    .map_err(failed(&what))?;
    require_utf8(&mut client, &what)?;
    Ok(client)
}

/// Text is ordered by its bytes, and these are those of UTF-8 only where the server stores UTF-8.
fn require_utf8(client: &mut Client, what: &str) -> Result<()> {
    let encoding: String =
        client.query_one("SHOW server_encoding", &[]).map_err(failed(what))?.get(0);
    if encoding == "UTF8" {
        return Ok(());
    }
    Err(Error::invalid(what)
        .found(format!("the database stores {encoding}"))
        .fix("databases have to be encoded as UTF8"))
}
