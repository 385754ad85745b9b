//! Identities and places. Names of sites and flows can change; these do not.
//!
//! Every id is 63 bits, minted at random by the caller (this crate has no randomness), so that two engines
//! that write into one target never meet by accident, and so that an id fits a signed SQL integer.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(u64);

        impl $name {
            /// Makes an id from random bits; the top bit is cleared so that it fits a signed 64-bit column.
            pub fn mint(random_bits: u64) -> Self {
                Self(random_bits & (u64::MAX >> 1))
            }

            /// The id as a signed integer, for storage.
            pub fn to_i64(self) -> i64 {
                i64::try_from(self.0).expect("ids are minted with 63 bits")
            }

            /// Reads back an id stored by [`Self::to_i64`].
            pub fn from_i64(stored: i64) -> Self {
                Self::mint(stored.cast_unsigned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:016x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:016x})"), self.0)
            }
        }
    };
}

id!(
    /// One ordered history of one system at one site.
    LaneId
);
id!(
    /// One log; a restored or re-created log gets another id, and progress written under the old one is refused.
    LogId
);
id!(
    /// A declared flow, whatever it is called today.
    FlowId
);
id!(
    /// A flow's definition; minted anew when mode, transform, key or target change.
    Generation
);
id!(
    /// The engine that may write to a target.
    HolderId
);
id!(
    /// One batch run.
    RunId
);
id!(
    /// One snapshot of one table of a lane.
    SnapshotId
);

/// Dense number of a group in its lane. The first group has offset 1; [`Offset::START`] lies before it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Offset(pub u64);

impl Offset {
    /// The place before the first group.
    pub const START: Offset = Offset(0);

    /// The offset that follows.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.0 + 1)
    }

    /// The offset as a signed integer, for storage.
    pub fn to_i64(self) -> i64 {
        i64::try_from(self.0).expect("offsets stay far below 2^63")
    }

    /// Reads back an offset stored by [`Self::to_i64`].
    pub fn from_i64(stored: i64) -> Self {
        Offset(stored.cast_unsigned())
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
