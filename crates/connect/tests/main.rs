//! The memory implementations pass the suites, and each check of a suite catches a wrong one.
#![allow(clippy::unwrap_used)]

mod main {
    mod log;
    mod source;
    mod target;
}
