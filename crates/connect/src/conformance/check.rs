//! What a check is, how a suite of them is run, and what it says when a system cannot be asked.
//!
//! A check that panics is a broken promise. A check that was not possible is not a kept one: the harness has to
//! excuse it by name, or the suite fails.

use crate::error::{Error, Kind, Result, State};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The promise was put to the test and kept.
    Held,
    /// The harness cannot bring the situation about.
    NotPossible,
}

/// Whether a harness brought a situation about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arranged {
    /// It did.
    Done,
    /// The system cannot be made to do it from outside.
    NotPossible,
}

/// One behaviour, put to the test on a fresh harness.
pub struct Check<H: ?Sized> {
    /// The behaviour; the name of the function.
    pub name: &'static str,
    /// Panics where the promise is broken.
    pub run: fn(&mut H) -> Outcome,
}

/// Runs every check on a harness of its own.
///
/// # Panics
/// With the first promise that is broken, and when a check was not possible that `excused` does not name.
pub(super) fn run_all<H: ?Sized>(
    checks: &[Check<H>],
    make: &mut dyn FnMut() -> Box<H>,
    excused: fn(&H) -> &'static [&'static str],
) {
    for check in checks {
        let mut harness = make();
        let outcome = (check.run)(&mut harness);
        let excuses = excused(&harness);
        assert!(
            outcome == Outcome::Held || excuses.contains(&check.name),
            "{} was not possible, and the harness does not excuse it",
            check.name
        );
    }
}

/// The error of a call that must fail with this kind.
///
/// # Panics
/// When it succeeds, or fails with another kind.
pub(super) fn fails<T>(result: Result<T>, kind: Kind, why: &str) -> Error {
    match result {
        Ok(_) => panic!("it succeeds, although {why}"),
        Err(error) => {
            assert_eq!(error.kind, kind, "{why}: {error}");
            error
        }
    }
}

/// As [`fails`], in a named state.
///
/// # Panics
/// When it succeeds, or fails with another kind or state.
pub(super) fn stops<T>(result: Result<T>, kind: Kind, state: State, why: &str) {
    let error = fails(result, kind, why);
    assert_eq!(error.state, Some(state), "{why}: {error}");
}

/// Names the checks of a suite, in the order they run.
macro_rules! checks {
    ($($module:ident :: $check:ident),+ $(,)?) => {
        vec![$(Check { name: stringify!($check), run: |harness| $module::$check(harness) }),+]
    };
}
pub(super) use checks;
