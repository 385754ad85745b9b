//! Progress of long work, told to whoever watches.

/// Somebody who watches long work: a progress bar, or nobody.
pub trait Watch: Send + Sync {
    /// `done` units of `what` are done, of `total` where that is known.
    fn progress(&self, what: &str, done: u64, total: Option<u64>);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn progress(&self, _what: &str, _done: u64, _total: Option<u64>) {}
}
