//! The conformance suite of sources, on PostgreSQL databases.

use crate::postgres_application::{Application, Identity};
use connect::conformance::Outcome;
use connect::conformance::source::checks;

/// It needs a server of its own, which is copied as a whole.
const NEEDS_A_SERVER: &str = "a_database_set_back_is_noticed";

#[test]
fn a_database_keeps_the_promises_of_a_source() {
    for check in checks().iter().filter(|check| check.name != NEEDS_A_SERVER) {
        let outcome = (check.run)(&mut Application::new(Identity::Full));
        assert_eq!(outcome, Outcome::Held, "{}", check.name);
    }
}

/// With keys alone as old images.
#[test]
fn a_database_keeps_the_promises_of_a_source_with_keys_as_old_images() {
    for check in checks().iter().filter(|check| check.name != NEEDS_A_SERVER) {
        let outcome = (check.run)(&mut Application::new(Identity::Default));
        assert_eq!(outcome, Outcome::Held, "{}", check.name);
    }
}

#[test]
fn a_database_set_back_is_noticed() {
    let check = checks().into_iter().find(|check| check.name == NEEDS_A_SERVER).unwrap();
    assert_eq!((check.run)(&mut Application::of_its_own()), Outcome::Held);
}
