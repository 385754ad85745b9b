//! Compression of frame bodies: zstd level 1, where it pays.
//!
//! Contexts are kept and shared: one costs about a megabyte, and a thousand writers must not have one each.

use crate::damage::Damage;
use std::sync::{Mutex, PoisonError};
use zstd::bulk::{Compressor, Decompressor};

/// Bodies below this fit into a page with or without it.
const WORTH: usize = 1024;

/// Idle contexts kept.
const KEPT: usize = 4;

/// Compresses and expands.
#[derive(Default)]
pub(crate) struct Squeezer {
    compressors: Mutex<Vec<Compressor<'static>>>,
    expanders: Mutex<Vec<Decompressor<'static>>>,
}

impl Squeezer {
    /// The compressed form, or `None` where less than an eighth would be saved.
    pub(crate) fn squeeze(&self, raw: &[u8]) -> Option<Vec<u8>> {
        if raw.len() < WORTH {
            return None;
        }
        let idle = take(&self.compressors);
        let mut compressor = match idle {
            Some(compressor) => compressor,
            None => Compressor::new(1).ok()?,
        };
        let small = compressor.compress(raw).ok();
        give(&self.compressors, compressor);
        small.filter(|small| small.len() < raw.len() - raw.len() / 8)
    }

    /// The raw form of `length` bytes.
    pub(crate) fn expand(&self, small: &[u8], length: u32) -> Result<Vec<u8>, Damage> {
        let length = usize::try_from(length).expect("32 bits fit a usize");
        let wrong = |e| Damage::new(format!("the body cannot be expanded: {e}"));
        let mut expander = match take(&self.expanders) {
            Some(expander) => expander,
            None => Decompressor::new().map_err(wrong)?,
        };
        let raw = expander.decompress(small, length).map_err(wrong);
        give(&self.expanders, expander);
        let raw = raw?;
        if raw.len() != length {
            return Err(Damage::new("the body expands to another length"));
        }
        Ok(raw)
    }
}

fn take<T>(pool: &Mutex<Vec<T>>) -> Option<T> {
    pool.lock().unwrap_or_else(PoisonError::into_inner).pop()
}

fn give<T>(pool: &Mutex<Vec<T>>, one: T) {
    let mut pool = pool.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.len() < KEPT {
        pool.push(one);
    }
}
