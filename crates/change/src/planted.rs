//! Planted defects: known mistakes, compiled in for the harness only, that the harness must find.
//!
//! Without the feature `planted` (every build but the harness's) [`is_planted`] is a constant `false` and the
//! compiler removes the mistakes. With it, one defect at a time is switched on: by [`plant`] in the process of the
//! simulator, or by the environment variable `SEAMOUNT_PLANTED` in a process under torture. A defect stands where
//! such a mistake would be made, in one `if`, beside the right code.

/// A mistake that loses, doubles or changes data, or says that all is well when it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Defect {
    /// The source is acknowledged when a group was given to the log, not when it is durable.
    AckBeforeDurable,
    /// The source is acknowledged up to the newest durable group, over one before it that is not.
    AckOverGap,
    /// Readers of the log are shown groups that are not durable yet.
    ShowUndurable,
    /// The tables of one transaction are committed one after the other.
    OneTableBatches,
    /// Letters are stored after the target has committed past them.
    ParkAfterCommit,
    /// Letters beyond the target's progress are kept at a restart.
    KeepLettersBeyond,
    /// Later changes of a parked key are applied past it.
    PassParkedKey,
    /// A repair is applied although the log has touched the key since its cut.
    RepairBackwards,
    /// Clearing or sweeping is not limited to the owner's rows.
    ClearOthersRows,
    /// A staged run is published over what a newer generation has written.
    PublishOverNewer,
    /// A run that was published is published once more when it is asked for again.
    PublishTwice,
    /// After a restart, groups that share the position of the last one are skipped.
    SkipSamePosition,
    /// A cell that the source left out as unchanged is written as null.
    UnchangedAsNull,
    /// The epoch's holder is not compared in the target's transactions.
    NoEpochCheck,
    /// The epoch is compared when an engine connects, not in its transactions.
    EpochAtConnectOnly,
    /// Progress is committed in a second transaction.
    ProgressApart,
    /// Progress moves with the first part of a transaction.
    ProgressWithFirstPart,
    /// Of a key that changed, the old row stays.
    KeepOldKey,
    /// What the target refuses compacted is parked without a try in source order.
    NoUncompactedReplay,
    /// Counters are added again when a step is taken again.
    CountTwice,
    /// A position of another history is taken as one of this.
    TrustOtherHistory,
    /// A log behind its target is appended to as if nothing were.
    CountOnBehindTarget,
    /// A change is decoded by the newest schema, not by the one at its place.
    NewestSchema,
    /// The log lets go of what a live consumer has not taken yet.
    TrimPastConsumer,
    /// A snapshot goes on behind a chunk that is not durable.
    SnapshotPastDurable,
    /// What the target has recorded of letters is not asked for.
    LettersForgetTheTarget,
    /// Rows of a range that its snapshot chunk does not hold stay in the target.
    KeepGhosts,
    /// Groups that wait for the disk are not limited.
    UnboundedWaiting,
    /// A write to the log that failed is tried again and taken for durable.
    RetryFailedSync,
    /// A new file of the log is used before its folder is synced.
    NoDirectorySync,
    /// The checksum of a frame covers its head only.
    ChecksumOfHeadOnly,
    /// A frame over the limit is dropped, and counted as written.
    DropOversize,
    /// The state folder's lock file is written, and not locked.
    LockFileWithoutLock,
    /// A file of the log is removed before what replaces it is durable.
    RemoveBeforeSync,
    /// Lengths in a frame are cut to 16 bits.
    ShortLength,
    /// Letters and verdicts are not synced.
    StateUnsynced,
    /// A schedule in a time zone fires twice where the clock is set back.
    FireTwiceInOverlap,
    /// A schedule in a time zone does not fire where the clock is set forward.
    SkipInGap,
    /// Catching up moves the next regular run.
    BackfillMovesNext,
    /// A file that ends too early is taken for complete.
    EndIsComplete,
    /// A file is known by its name, not by its content.
    SameNameSameFile,
    /// A proof takes changes that are on their way for differences.
    ProofForgetsMotion,
    /// A proof does not see rows that only the target has.
    ProofMissesExtras,
    /// A proof compares counts and not rows.
    ProofCountsOnly,
    /// Quotes in a name are not doubled.
    UnquotedName,
    /// A password stands in an error.
    SecretInError,
    /// A path may leave its site's folder by a link.
    FollowLinks,
    /// Masks are applied when a target is written, not before the log.
    MaskAfterLog,
}

#[cfg(feature = "planted")]
mod switch {
    use super::Defect;
    use std::sync::RwLock;

    /// `None` until asked for the first time: then what the environment says.
    static PLANTED: RwLock<Option<Option<Defect>>> = RwLock::new(None);

    /// Whether a defect is switched on.
    pub fn is_planted(defect: Defect) -> bool {
        let known = *PLANTED.read().expect("nothing panics while it writes one word");
        known.unwrap_or_else(from_environment) == Some(defect)
    }

    /// Switches one defect on and every other off.
    pub fn plant(defect: Option<Defect>) {
        *PLANTED.write().expect("nothing panics while it writes one word") = Some(defect);
    }

    fn from_environment() -> Option<Defect> {
        let named = std::env::var("SEAMOUNT_PLANTED").ok();
        let defect = named.map(|name| {
            Defect::named(&name)
                .unwrap_or_else(|| panic!("SEAMOUNT_PLANTED names no defect: {name}"))
        });
        plant(defect);
        defect
    }
}

#[cfg(feature = "planted")]
pub use switch::{is_planted, plant};

/// Whether a defect is switched on: never, in this build.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub const fn is_planted(_: Defect) -> bool {
    false
}

impl Defect {
    /// Every one of them.
    pub const ALL: &[Defect] = &[
        Defect::AckBeforeDurable,
        Defect::AckOverGap,
        Defect::ShowUndurable,
        Defect::OneTableBatches,
        Defect::ParkAfterCommit,
        Defect::KeepLettersBeyond,
        Defect::PassParkedKey,
        Defect::RepairBackwards,
        Defect::ClearOthersRows,
        Defect::PublishOverNewer,
        Defect::PublishTwice,
        Defect::SkipSamePosition,
        Defect::UnchangedAsNull,
        Defect::NoEpochCheck,
        Defect::EpochAtConnectOnly,
        Defect::ProgressApart,
        Defect::ProgressWithFirstPart,
        Defect::KeepOldKey,
        Defect::NoUncompactedReplay,
        Defect::CountTwice,
        Defect::TrustOtherHistory,
        Defect::CountOnBehindTarget,
        Defect::NewestSchema,
        Defect::TrimPastConsumer,
        Defect::SnapshotPastDurable,
        Defect::LettersForgetTheTarget,
        Defect::KeepGhosts,
        Defect::UnboundedWaiting,
        Defect::RetryFailedSync,
        Defect::NoDirectorySync,
        Defect::ChecksumOfHeadOnly,
        Defect::DropOversize,
        Defect::LockFileWithoutLock,
        Defect::RemoveBeforeSync,
        Defect::ShortLength,
        Defect::StateUnsynced,
        Defect::FireTwiceInOverlap,
        Defect::SkipInGap,
        Defect::BackfillMovesNext,
        Defect::EndIsComplete,
        Defect::SameNameSameFile,
        Defect::ProofForgetsMotion,
        Defect::ProofMissesExtras,
        Defect::ProofCountsOnly,
        Defect::UnquotedName,
        Defect::SecretInError,
        Defect::FollowLinks,
        Defect::MaskAfterLog,
    ];

    /// The defect of a name, as `Debug` writes it.
    pub fn named(name: &str) -> Option<Defect> {
        Defect::ALL.iter().copied().find(|defect| format!("{defect:?}") == name)
    }
}
