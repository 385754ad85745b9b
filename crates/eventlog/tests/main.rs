//! The log against real files.
#![allow(clippy::unwrap_used)]

mod main {
    mod basics;
    mod crash;
    mod damage;
    mod lock;
    mod retention;
    mod sample;
    mod space;
}
