//! The log against real files.
#![allow(clippy::unwrap_used)]

mod main {
    mod basics;
    mod sample;
}
