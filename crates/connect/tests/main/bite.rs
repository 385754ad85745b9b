//! Shows that checks bite: each must fail on an implementation that is wrong in one way.

use connect::conformance::{Check, Outcome};
use std::cell::{Cell, RefCell};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Panics of a check under test are noted, not printed; all others are printed as ever.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if QUIET.get() {
                let place = info.location().map(|l| l.file().to_string()).unwrap_or_default();
                PLACE.set(format!("{place}: {}", info.payload_as_str().unwrap_or_default()));
            } else {
                usual(info);
            }
        }));
    });
}

/// Each check passes on a right implementation and fails, by its own judgement, on every wrong one that names it;
/// each check is named by one at least.
pub(crate) fn assert_bites<H: ?Sized, D: Copy + Debug>(
    checks: &[Check<H>],
    caught: &[(&str, D)],
    make: impl Fn(Option<D>) -> Box<H>,
) {
    listen();
    for check in checks {
        assert_eq!((check.run)(&mut make(None)), Outcome::Held, "{}", check.name);
        assert!(caught.iter().any(|(name, _)| *name == check.name), "{} never fails", check.name);
    }
    for (name, defect) in caught {
        let check = checks.iter().find(|check| check.name == *name);
        let check = check.unwrap_or_else(|| panic!("{name} is no check"));
        QUIET.set(true);
        let outcome = catch_unwind(AssertUnwindSafe(|| (check.run)(&mut make(Some(*defect)))));
        QUIET.set(false);
        assert!(outcome.is_err(), "{name} does not catch {defect:?}");
        let place = PLACE.take();
        assert!(place.contains("conformance"), "{name} on {defect:?} fails elsewhere: {place}");
    }
}
