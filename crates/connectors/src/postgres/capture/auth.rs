//! Proving who we are to a server: SCRAM-SHA-256, MD5, or the password itself where nobody else can read it.
//!
//! Messages of the login only; the connection is [`super::wire`]'s. Invariant: the password itself is sent over TLS or
//! a Unix socket, or not at all.

use super::wire::Wire;
use connect::{Error, Result};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};

/// Answers what the server asks until it lets us in. `secret` says that nobody reads along.
///
/// # Errors
/// `Invalid` when the login is refused, or a way is asked for that we do not take.
pub(super) fn answer(
    wire: &mut Wire,
    user: &[u8],
    password: Option<&[u8]>,
    secret: bool,
) -> Result<()> {
    let mut scram: Option<ScramSha256> = None;
    loop {
        let message = wire.message()?;
        if message.tag != b'R' {
            continue;
        }
        let broken = || refused("the server's answer makes no sense");
        let (code, rest) = message.body.split_at_checked(4).ok_or_else(broken)?;
        let password = || password.ok_or_else(|| refused("a password is asked for"));
        match u32::from_be_bytes(code.try_into().expect("four bytes")) {
            0 => return Ok(()),
            3 if secret => wire.send(b'p', &[password()?, b"\0"].concat())?,
            3 => {
                return Err(refused("the server asks for the password in the clear")
                    .effect("it was not sent")
                    .fix("let pg_hba.conf ask for scram-sha-256, or use TLS"));
            }
            5 => {
                let salt = rest.try_into().map_err(|_| broken())?;
                let hash = md5_hash(user, password()?, salt);
                wire.send(b'p', &[hash.as_bytes(), b"\0"].concat())?;
            }
            10 if offers_scram(rest) => {
                let begun = ScramSha256::new(password()?, ChannelBinding::unsupported());
                let first = begun.message();
                let length = u32::try_from(first.len()).expect("it is short").to_be_bytes();
                wire.send(b'p', &[SCRAM_SHA_256.as_bytes(), b"\0", &length, first].concat())?;
                scram = Some(begun);
            }
            11 => {
                let scram = scram.as_mut().ok_or_else(broken)?;
                scram.update(rest).map_err(|_| broken())?;
                wire.send(b'p', scram.message())?;
            }
            12 => {
                let scram = scram.as_mut().ok_or_else(broken)?;
                scram.finish(rest).map_err(|_| {
                    refused("the server does not know the password that it asks for")
                        .effect("it may be another server than the one meant")
                })?;
            }
            _ => {
                return Err(refused("the server asks for a login that is not known here")
                    .fix("let pg_hba.conf ask for scram-sha-256"));
            }
        }
    }
}

fn offers_scram(mechanisms: &[u8]) -> bool {
    mechanisms.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes())
}

fn refused(found: &str) -> Error {
    Error::invalid("the login for replication is refused").found(found)
}
