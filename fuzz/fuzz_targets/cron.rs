//! A zone and an expression, on two lines: read or refused, and fires in order.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::drills::schedules::any_text(bytes).unwrap_or_else(|found| panic!("{found}")));
