//! Connections that cuts have given back, for the next ones: a login costs a server more than many a small read.
//!
//! What is given back holds nothing: no transaction, no lock. A cut that was not let go, or that failed, gives nothing
//! back: its connection is closed. Only cuts of one site of one caller share connections, never two roles.

use super::address::Address;
use super::session::connect;
use connect::Result;
use postgres::Client;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most connections that wait.
const MOST: usize = 2;

/// What the server may take to say that a connection still stands.
const STANDS: Duration = Duration::from_secs(5);

/// The spare connections to one site.
#[derive(Clone)]
pub(super) struct Spares {
    address: Arc<Address>,
    idle: Arc<Mutex<Vec<Client>>>,
}

impl Spares {
    /// None yet.
    pub(super) fn new(address: Address) -> Spares {
        Spares { address: Arc::new(address), idle: Arc::default() }
    }

    /// The site that they lead to.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// A connection that stands: one that waits, or a new one.
    ///
    /// # Errors
    /// As [`connect`].
    pub(super) fn take(&self) -> Result<Client> {
        while let Some(mut client) = self.idle().pop() {
            if client.is_valid(STANDS).is_ok() {
                return Ok(client);
            }
        }
        connect(&self.address)
    }

    /// Keeps a connection that holds nothing, if there is place.
    pub(super) fn give(&self, client: Client) {
        let mut idle = self.idle();
        if idle.len() < MOST {
            idle.push(client);
        }
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Client>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
