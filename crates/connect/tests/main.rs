//! The memory implementations pass the suites, and each check of a suite catches a wrong one.
#![allow(clippy::unwrap_used)]

// Other crates know this one by the name that the workspace gives it.
extern crate seamount_connect as connect;

mod main {
    mod bite;
    mod faults;
    mod histories;
    mod log;
    mod source;
    mod target;
    mod wrong_cut;
    mod wrong_log;
    mod wrong_reader;
    mod wrong_source;
    mod wrong_target;
    mod wrong_transaction;
}
