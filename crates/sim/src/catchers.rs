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
];
