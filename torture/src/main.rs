//! The finished binary under torture.

fn main() {}
