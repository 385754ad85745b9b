//! Runs drills: many seeds, one seed, the planted defects; and what is printed of them.
//!
//! A run that panics is a violation like any other: the engine's own assertions are part of what is tested.

mod many;
mod options;
mod planted;
mod shrink;

pub use many::{Tally, one_seed, seeds};
pub use options::{Options, parse};
pub use planted::planted;
pub use shrink::shortest;

use crate::drill::Violation;
use crate::oracle::Oracle;
use crate::world::Ran;
use crate::world::machine::{Machine, locked};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, Once};

/// What is still there of a world that panicked.
#[derive(Default)]
pub struct Shared {
    machine: RefCell<Option<Arc<Mutex<Machine>>>>,
    oracle: RefCell<Option<Arc<Mutex<Oracle>>>>,
}

impl Shared {
    /// Keeps a hand on the machine and the oracle.
    pub fn watch(&self, machine: &Arc<Mutex<Machine>>, oracle: &Arc<Mutex<Oracle>>) {
        *self.machine.borrow_mut() = Some(machine.clone());
        *self.oracle.borrow_mut() = Some(oracle.clone());
    }
}

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs a world; a panic in it is a violation.
pub fn guarded(run: impl FnOnce(&Shared) -> Ran) -> Ran {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                SAID.set(Some(info.to_string()));
            } else {
                before(info);
            }
        }));
    });
    let shared = Shared::default();
    QUIET.set(true);
    let done = catch_unwind(AssertUnwindSafe(|| run(&shared)));
    QUIET.set(false);
    done.unwrap_or_else(|_| {
        let said = SAID.take().unwrap_or_else(|| "a panic without words".into());
        let mut violation = Violation::new("an assertion of the engine", said.replace('\n', " "));
        let kept = shared.machine.borrow();
        let machine = kept.as_ref().map(|machine| locked(machine));
        if let Some(machine) = &machine {
            violation.trace.clone_from(&machine.trace);
        }
        let situations =
            shared.oracle.borrow().as_ref().map(|oracle| locked(oracle).situations.clone());
        Ran {
            violation: Some(violation),
            fingerprint: machine.as_ref().map_or(0, |machine| machine.fingerprint()),
            steps: machine.as_ref().map_or(0, |machine| machine.steps),
            situations: situations.unwrap_or_default(),
        }
    })
}
