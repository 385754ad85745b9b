//! How much of the log is kept: what `[log]` says, and what live consumers still need.

use crate::assemble::Held;
use crate::exit::Failure;
use eventlog::Policy;

/// Lets go of what the policy allows. Each lane keeps what its slowest flow has not applied, and its newest group,
/// which says where capture resumes.
pub(crate) fn retain(held: &Held) -> Result<(), Failure> {
    let assembly = &held.engine.assembly;
    let settings = assembly.project.log;
    if settings.keep.is_none() && settings.max_bytes.is_none() {
        return Ok(());
    }
    let now = assembly.environment.clock.now();
    let cutoff = settings
        .keep
        .map(|keep| now.saturating_sub(i64::try_from(keep.as_micros()).unwrap_or(i64::MAX)));
    let policy =
        Policy { cutoff, max_bytes: settings.max_bytes, floors: engine::floors(&held.engine)? };
    for gone in held.log.trim_by_policy(&policy)? {
        eprintln!("log: lane {} let go of {}..{}", gone.lane, gone.from, gone.upto);
    }
    Ok(())
}
