//! Links that are chained by hashes: what certificates and the audit log have in common.
//!
//! Pure: links in, the first bad one out. How a link's own content is hashed is its own business. A chain shows that a
//! link was changed, taken out, moved or doubled. It cannot show by itself that its end was cut off, or that it was
//! written anew from some link on: for that a head must lie where whoever does so cannot change it.

use std::collections::BTreeMap;
use std::fmt;

/// Number and hash of a link: what is kept elsewhere to see that a chain was not cut off or written anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The link's number.
    pub number: i64,
    /// The link's hash, in hex.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.hash)
    }
}

impl Head {
    /// Reads `NUMBER:HASH`.
    pub fn parse(text: &str) -> Option<Head> {
        let (number, hash) = text.trim().split_once(':')?;
        let number = number.parse().ok().filter(|number| *number > 0)?;
        let hex = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Head { number, hash: hash.to_ascii_lowercase() })
    }

    /// The number and the hash that the link behind a head carries; those of a first link without one.
    pub fn next(head: Option<&Head>) -> (i64, String) {
        head.map_or((1, String::new()), |head| (head.number + 1, head.hash.clone()))
    }
}

/// A link of a chain.
pub trait Linked {
    /// Its number, counted from 1 without a gap.
    fn number(&self) -> i64;

    /// The hash of the link before it; empty for the first.
    fn previous(&self) -> &str;

    /// Its own hash.
    fn hash(&self) -> &str;

    /// Whether its content is what was hashed.
    fn is_intact(&self) -> bool;

    /// Its number and hash.
    fn head(&self) -> Head {
        Head { number: self.number(), hash: self.hash().into() }
    }
}

/// The first bad link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// Its content is not what was hashed.
    Changed(i64),
    /// Another stands in its place, or none although later ones are there.
    NotInPlace {
        /// The number that should stand here.
        expected: i64,
        /// The number that does.
        found: i64,
    },
    /// It is not chained to the one before it.
    Unchained(i64),
    /// A head that was kept says that it was there.
    CutOff {
        /// The first that is missing.
        missing: i64,
        /// The newest that was kept.
        kept: i64,
    },
    /// A head that was kept says that it was another: the chain was written anew from here or from before.
    Forked(i64),
}

impl LinkFault {
    /// The number of the first bad link.
    pub fn number(&self) -> i64 {
        match self {
            LinkFault::Changed(n) | LinkFault::Unchained(n) | LinkFault::Forked(n) => *n,
            LinkFault::NotInPlace { expected, .. } => *expected,
            LinkFault::CutOff { missing, .. } => *missing,
        }
    }

    /// The fault in words; `noun` is what a link is: `entry`, `certificate`.
    pub fn told(&self, noun: &str) -> String {
        match self {
            LinkFault::Changed(n) => format!("{noun} {n} was changed"),
            LinkFault::NotInPlace { expected, found } => {
                format!("{noun} {expected} was taken out or moved: {found} stands in its place")
            }
            LinkFault::Unchained(n) => format!("{noun} {n} is not chained to the one before it"),
            LinkFault::CutOff { missing, kept } => {
                format!("{noun} {missing} and those behind it were cut off: there were {kept}")
            }
            LinkFault::Forked(n) => {
                format!("{noun} {n} is another than it was: it was written anew")
            }
        }
    }
}

/// Walks a chain that begins behind `after`, beside the heads that were kept. Gives the newest head.
///
/// # Errors
/// The first bad link.
pub fn follow<L: Linked>(
    links: &[L],
    after: Option<&Head>,
    kept: &[Head],
) -> Result<Option<Head>, LinkFault> {
    let mut hashes = BTreeMap::<i64, Vec<&str>>::new();
    for head in kept {
        hashes.entry(head.number).or_default().push(&head.hash);
    }
    let mut last = after.cloned();
    for link in links {
        let (expected, previous) = Head::next(last.as_ref());
        if link.number() != expected {
            return Err(LinkFault::NotInPlace { expected, found: link.number() });
        }
        if !link.is_intact() {
            return Err(LinkFault::Changed(expected));
        }
        if link.previous() != previous {
            return Err(LinkFault::Unchained(expected));
        }
        if hashes.get(&expected).is_some_and(|kept| kept.iter().any(|hash| *hash != link.hash())) {
            return Err(LinkFault::Forked(expected));
        }
        last = Some(link.head());
    }
    let there = last.as_ref().map_or(0, |head| head.number);
    match hashes.keys().next_back() {
        Some(&kept) if kept > there => Err(LinkFault::CutOff { missing: there + 1, kept }),
        _ => Ok(last),
    }
}
