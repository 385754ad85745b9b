//! Keys by a short hash: what tells most keys apart without comparing them.
//!
//! Two keys may share one, however seldom. Whoever asks by hash must hold either way: it sums what shares one, or
//! compares the keys themselves where the hash is the same.

use change::DigestKey;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The keyed hash of a key, cut to 64 bits. Rows of one key share it; rows of two keys hardly ever do, and nothing may
/// depend on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct KeyHash(pub(crate) u64);

impl KeyHash {
    /// The hash of a key's canonical bytes.
    pub(crate) fn of(key: DigestKey, bytes: &[u8]) -> KeyHash {
        let [low @ .., _, _, _, _, _, _, _, _] = key.hash(bytes).to_le_bytes();
        KeyHash(u64::from_le_bytes(low))
    }
}

/// Values by the hash of a key.
pub(crate) type ByKeyHash<V> = HashMap<KeyHash, V, BuildHasherDefault<AsItIs>>;

/// Hashes of keys are hashed already. The halves change places: leaves are told apart by the upper bits.
#[derive(Default)]
pub(crate) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash.rotate_left(32);
    }
}
