//! Any bytes as a Parquet file: read or refused, within memory.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sim::drills::files::any_parquet(bytes).unwrap_or_else(|found| panic!("{found}")));
