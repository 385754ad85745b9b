//! What the stored certificates of a flow say, the worst first: for `status` and `certificate list`.
//!
//! Whether their chain is whole is another question, and `certificate verify`'s.

use change::FlowId;
use connect::Result;
use engine::{State, StoredCertificate};
use proof::{Certificate, Tier};
use std::collections::BTreeMap;

/// How good a certificate is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Worth {
    /// Its bytes are not those that were sealed.
    Damaged,
    /// The rows differ.
    Different,
    /// It could not be shown.
    Unproven,
    /// There were no rows on either side: fine beside tables that have some.
    Empty,
    /// The rows are equal.
    Equal,
}

/// A stored certificate, read.
pub(crate) struct Proven {
    /// As it is stored.
    pub(crate) stored: StoredCertificate,
    /// What it says, or why it cannot be read.
    pub(crate) read: Result<Certificate, String>,
}

impl Proven {
    /// How good it is.
    pub(crate) fn worth(&self) -> Worth {
        match &self.read {
            Err(_) => Worth::Damaged,
            Ok(certificate) if certificate.is_equal() => Worth::Equal,
            Ok(certificate) if certificate.is_empty() => Worth::Empty,
            Ok(certificate) if certificate.reason.is_some() => Worth::Unproven,
            Ok(_) => Worth::Different,
        }
    }

    /// Whether the target was compared with the ledger of the log, and the source not looked at.
    pub(crate) fn is_by_ledger(&self) -> bool {
        self.read.as_ref().is_ok_and(|c| c.method == Tier::Ledger.name())
    }

    /// What it says in a few words.
    pub(crate) fn says(&self) -> String {
        match &self.read {
            Ok(certificate) => certificate.says.clone(),
            Err(found) => format!("DAMAGED: {found}"),
        }
    }
}

/// All certificates of a flow, oldest first.
///
/// # Errors
/// The state file cannot be read.
pub(crate) fn all(state: &State, flow: FlowId) -> Result<Vec<Proven>> {
    let stored = state.certificates(Some(flow))?.into_iter();
    Ok(stored.map(|stored| Proven { read: Certificate::read(&stored.body), stored }).collect())
}

/// The newest of each table of each site, the worst first. Damaged ones all stand: which table they were of is not known.
/// A check against the ledger sees less than a scan: it stands beside the newest scan, and goes with the next one.
pub(crate) fn newest(all: Vec<Proven>) -> Vec<Proven> {
    let mut tables = BTreeMap::new();
    for (n, proven) in all.into_iter().enumerate() {
        let table = match &proven.read {
            Ok(c) => (0, c.site.clone(), c.source_table.clone(), c.target_table.clone()),
            Err(_) => (n + 1, String::new(), String::new(), String::new()),
        };
        let by_ledger = proven.is_by_ledger();
        if !by_ledger {
            tables.remove(&(table.clone(), true));
        }
        tables.insert((table, by_ledger), proven);
    }
    let mut newest: Vec<Proven> = tables.into_values().collect();
    newest.sort_by_key(Proven::worth);
    newest
}
