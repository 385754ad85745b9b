//! The `sim` command; filled by the owner of the world.

fn main() {}
