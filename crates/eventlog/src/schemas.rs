//! Table schemas of a log, each stored once for each file and named by a small number inside frames.
//!
//! Not here: where they are stored (`hot`). Invariant: a number never means two schemas within one log, and a frame
//! carries the checksum of the schema it was written with, so that a swapped row in the schema table is noticed.

use change::TableSchema;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A schema as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) number: u32,
    pub(crate) checksum: u32,
    pub(crate) text: String,
    pub(crate) schema: Arc<TableSchema>,
}

/// All schemas a log has met.
#[derive(Debug, Default)]
pub(crate) struct Schemas {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    by_text: HashMap<String, Arc<Stored>>,
    by_number: HashMap<(u32, u32), Arc<Stored>>,
    /// The quick way: the caller's own `Arc`, kept alive here so that its address is not used again.
    by_address: HashMap<usize, (Arc<TableSchema>, Arc<Stored>)>,
    newest: u32,
}

/// Addresses remembered; a connector that makes a schema for every group must not fill the memory.
const ADDRESSES: usize = 4096;

impl Schemas {
    /// The stored form of a schema; it gets a number when it is new.
    pub(crate) fn of(&self, schema: &Arc<TableSchema>) -> Arc<Stored> {
        let address = Arc::as_ptr(schema).addr();
        let mut known = self.known();
        if let Some((_, stored)) = known.by_address.get(&address) {
            return stored.clone();
        }
        let text = serde_json::to_string(schema.as_ref()).expect("a schema is plain data");
        let stored = match known.by_text.get(&text) {
            Some(stored) => stored.clone(),
            None => {
                let number = known.newest + 1;
                known.keep(Stored {
                    number,
                    checksum: checksum(number, &text),
                    text,
                    schema: schema.clone(),
                })
            }
        };
        if known.by_address.len() >= ADDRESSES {
            known.by_address.clear();
        }
        known.by_address.insert(address, (schema.clone(), stored.clone()));
        stored
    }

    /// The schema that a frame names, if it was met before.
    pub(crate) fn numbered(&self, number: u32, checksum: u32) -> Option<Arc<TableSchema>> {
        self.known().by_number.get(&(number, checksum)).map(|stored| stored.schema.clone())
    }

    /// Takes in a row of a file's schema table. One that cannot be read is left out: the frames that name it will
    /// say so, and all others can be read.
    pub(crate) fn learn(&self, number: u32, text: String) {
        let checksum = checksum(number, &text);
        let mut known = self.known();
        known.newest = known.newest.max(number);
        if known.by_number.contains_key(&(number, checksum)) {
            return;
        }
        if let Ok(schema) = serde_json::from_str(&text) {
            known.keep(Stored { number, checksum, text, schema: Arc::new(schema) });
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, stored: Stored) -> Arc<Stored> {
        let stored = Arc::new(stored);
        self.newest = self.newest.max(stored.number);
        self.by_number.insert((stored.number, stored.checksum), stored.clone());
        self.by_text.insert(stored.text.clone(), stored.clone());
        stored
    }
}

fn checksum(number: u32, text: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), text.as_bytes())
}
