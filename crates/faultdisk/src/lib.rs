//! A disk that fails on purpose, under every SQLite file of a process.
//!
//! [`Disk::attach`] makes one folder such a disk. Files stay real files; beside them the disk remembers what a sync has
//! made durable, and what has not been synced yet: bytes by sector, names by folder. It counts steps, stops the machine
//! before any of them, fails calls, runs out of space, and cuts the power: then the folder holds what a real disk could.
//!
//! What it sees, and the rules that follow:
//! - Every file that SQLite opens below the folder, through a file layer of its own over the platform's.
//! - `fsync` of a folder or file and `unlink` of a file by anybody in the process: on Linux these two functions of the C library
//!   are replaced by ours. A folder's sync makes durable the names that are in it at that moment, and the absence of those
//!   that are not.
//! - Not the content of files that SQLite never opened: it is taken as it is found. Their names count like all others.
//! - Not `rename`. Shared memory (`-shm`) is no file of the disk; a power cut removes it.
//!
//! Nothing is really synced below such a folder: the machine under the harness is not what is tested.
//!
//! For the harness; never in the product. Unsafe code is in `vfs` and `posix` alone.

mod disk;
mod hold;
mod image;
mod names;
mod plan;
mod posix;
mod registry;
mod rot;
mod vfs;

pub use disk::Disk;
pub use hold::Held;
pub use plan::Call;
pub use rot::{PAGE, Rot};

/// Chance, 64 bits at a time.
pub type Bits<'a> = &'a mut dyn FnMut() -> u64;

/// A number below `limit`, which is not 0.
fn below(bits: Bits<'_>, limit: usize) -> usize {
    let wide = u128::from(bits()) * (limit as u128);
    usize::try_from(wide >> 64).expect("below a usize")
}

#[cfg(test)]
mod trials;
