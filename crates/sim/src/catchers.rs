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
];
