//! Which drill catches which planted defect, and within how many of its seeds.
//!
//! `sim --planted` plants each of these in turn; one that is missed fails the run.

use change::planted::Defect;

/// Defect, drill, seeds within which it must be caught.
pub const CATCHERS: &[(Defect, &str, u64)] = &[
    (Defect::AckBeforeDurable, "world", 200),
    (Defect::MaskAfterLog, "masks", 3),
    (Defect::SecretInError, "secrets", 3),
    (Defect::FollowLinks, "fence", 5),
    (Defect::FireTwiceInOverlap, "schedules", 3),
    (Defect::SkipInGap, "schedules", 3),
    (Defect::BackfillMovesNext, "schedules-served", 40),
    (Defect::EndIsComplete, "files-csv", 20),
    (Defect::SameNameSameFile, "files-motion", 3),
    (Defect::ProofForgetsMotion, "proofs", 20),
    (Defect::ProofMissesExtras, "proofs", 20),
    (Defect::ProofCountsOnly, "proofs", 20),
    (Defect::UnquotedName, "texts-quoting", 5),
    (Defect::ShowUndurable, "log-crash", 60),
    (Defect::NoDirectorySync, "log-crash", 200),
    (Defect::DropOversize, "log-crash", 60),
    (Defect::ShortLength, "log-crash", 60),
    (Defect::RemoveBeforeSync, "log-every-step", crate::drills::log::STEPS),
    (Defect::RetryFailedSync, "log-sync-error", 60),
    (Defect::ChecksumOfHeadOnly, "log-rot", 200),
    (Defect::LockFileWithoutLock, "log-lock", 2),
    (Defect::StateUnsynced, "state-crash", 40),
    (Defect::ProgressApart, "target-crash", 60),
    (Defect::ClearOthersRows, "target-crash", 60),
    (Defect::NoEpochCheck, "target-crash", 20),
    (Defect::EpochAtConnectOnly, "target-crash", 20),
];
