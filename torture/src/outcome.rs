//! How a scenario ends when nothing broke.

/// What there is to say of a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything held; with the figures.
    Held(String),
    /// It could not be run here.
    NotRun {
        /// Why.
        why: String,
        /// The machine does not allow it, whatever is installed: no failure, but never silent.
        excused: bool,
    },
}
