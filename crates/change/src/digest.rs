//! Fingerprints of sets of rows: a count, and the sum mod 2^128 of keyed row hashes.
//!
//! Sums form a group, so digests add and subtract, whatever the order of rows. A sum and not an XOR: {a,a,b} and
//! {c,c,b} agree in count and XOR. The hash is XXH3-128 over the canonical encoding, under a seed that is kept.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The secret seed of a project's row hashes.
#[derive(Clone, Copy)]
pub struct DigestKey(u64);

impl DigestKey {
    /// A key from random bits.
    pub fn new(random_bits: u64) -> Self {
        DigestKey(random_bits)
    }

    /// The hash of one canonical row.
    pub fn hash(self, canonical_row: &[u8]) -> u128 {
        xxh3_128_with_seed(canonical_row, self.0)
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey(secret)")
    }
}

/// Count and sum of a set of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Rows.
    pub count: u64,
    /// Sum of their hashes, mod 2^128.
    pub sum: u128,
}

impl Digest {
    /// The digest of one row.
    pub fn of(hash: u128) -> Self {
        Digest { count: 1, sum: hash }
    }
}

impl Add for Digest {
    type Output = Digest;
    fn add(self, other: Digest) -> Digest {
        Digest {
            count: self.count.wrapping_add(other.count),
            sum: self.sum.wrapping_add(other.sum),
        }
    }
}

impl Sub for Digest {
    type Output = Digest;
    fn sub(self, other: Digest) -> Digest {
        Digest {
            count: self.count.wrapping_sub(other.count),
            sum: self.sum.wrapping_sub(other.sum),
        }
    }
}

impl AddAssign for Digest {
    fn add_assign(&mut self, other: Digest) {
        *self = *self + other;
    }
}

impl SubAssign for Digest {
    fn sub_assign(&mut self, other: Digest) {
        *self = *self - other;
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:032x}", self.count, self.sum)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split_once(':')
            .and_then(|(count, sum)| {
                Some(Digest {
                    count: count.parse().ok()?,
                    sum: u128::from_str_radix(sum, 16).ok()?,
                })
            })
            .ok_or_else(|| serde::de::Error::custom("a digest is COUNT:SUM"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A CRC32-and-XOR checksum cancels an even number of rows off by the same amount; the sum must not.
    #[test]
    fn a_uniform_shift_of_an_even_number_of_rows_shows() {
        let key = DigestKey::new(7);
        let digest = |shift: u64| {
            (0..1000u64)
                .map(|i| Digest::of(key.hash(&(i + shift).to_le_bytes())))
                .fold(Digest::default(), Add::add)
        };
        assert_ne!(digest(0), digest(25_200));
    }

    #[test]
    fn multisets_that_xor_confuses_differ() {
        let key = DigestKey::new(7);
        let d = |name: &str| Digest::of(key.hash(name.as_bytes()));
        assert_ne!(d("a") + d("a") + d("b"), d("c") + d("c") + d("b"));
    }

    proptest! {
        #[test]
        fn digests_form_a_group(rows in prop::collection::vec(any::<u128>(), 1..50), at in 0usize..50) {
            let all: Digest = rows.iter().map(|h| Digest::of(*h)).fold(Digest::default(), Add::add);
            let (left, right) = rows.split_at(at.min(rows.len()));
            let sum = |part: &[u128]| part.iter().map(|h| Digest::of(*h)).fold(Digest::default(), Add::add);
            prop_assert_eq!(all - sum(left), sum(right));
            let text = serde_json::to_string(&all).unwrap();
            prop_assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), all);
        }
    }
}
