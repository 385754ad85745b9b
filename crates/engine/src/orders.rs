//! What flows ask of a lane's capture: snapshots and keys read again, placed among the changes by the capture.
//!
//! A queue and nothing else, so that appliers and captures need not know each other.

use change::Key;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// Something the capture shall read into its lane.
#[derive(Clone, Debug, PartialEq)]
pub enum CaptureOrder {
    /// A table from its first row to its last.
    Snapshot {
        /// The table.
        table: String,
    },
    /// Single keys, for a repair of the log.
    Keys {
        /// The table.
        table: String,
        /// Its keys.
        keys: Vec<Key>,
    },
}

/// Orders by site, shared between threads.
#[derive(Clone, Default)]
pub struct Orders {
    queues: Arc<Mutex<BTreeMap<String, VecDeque<CaptureOrder>>>>,
    only_asked: bool,
}

impl Orders {
    /// Orders that nobody carries out: they say what would be needed.
    pub(crate) fn only_asked() -> Self {
        Orders { only_asked: true, ..Orders::default() }
    }

    /// Whether these orders are carried out.
    pub(crate) fn are_carried_out(&self) -> bool {
        !self.only_asked
    }

    /// Orders something of a site's capture; an order that waits already is not doubled.
    pub fn place(&self, site: &str, order: CaptureOrder) {
        let mut orders = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = orders.entry(site.to_string()).or_default();
        if !queue.contains(&order) {
            queue.push_back(order);
        }
    }

    /// Whether nothing is ordered.
    pub(crate) fn is_empty(&self) -> bool {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner).values().all(VecDeque::is_empty)
    }

    /// Whether an order waits for a site.
    pub(crate) fn waits(&self, site: &str) -> bool {
        let orders = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get(site).is_some_and(|queue| !queue.is_empty())
    }

    /// The next order for a site.
    pub(crate) fn take(&self, site: &str) -> Option<CaptureOrder> {
        let mut orders = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get_mut(site)?.pop_front()
    }
}
