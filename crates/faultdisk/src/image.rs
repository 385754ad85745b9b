//! One file: what the machine reads back, and what the disk would still hold without power.
//!
//! The unit is a sector of 512 bytes, as disks have it. Invariant: outside of dirty sectors and of the length, `disk`
//! and `cached` differ only where a failed sync has lost a write for good.

use crate::{Bits, below};
use std::collections::BTreeSet;
use std::ops::Range;

pub(crate) const SECTOR: usize = 512;

/// Sectors of a block, as file systems have it.
const BLOCK: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Image {
    disk: Vec<u8>,
    cached: Vec<u8>,
    dirty: BTreeSet<usize>,
    resized: bool,
    /// The last write since the last sync.
    last: Range<usize>,
}

impl Image {
    /// A file that is durable as it is.
    pub(crate) fn durable(content: Vec<u8>) -> Self {
        Image { disk: content.clone(), cached: content, ..Image::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.cached.len()
    }

    pub(crate) fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if end > self.cached.len() {
            self.cached.resize(end, 0);
            self.resized = true;
        }
        self.cached[offset..end].copy_from_slice(data);
        self.dirty.extend(sectors(&(offset..end)));
        self.last = offset..end;
    }

    pub(crate) fn truncate(&mut self, length: usize) {
        self.cached.resize(length, 0);
        self.resized = true;
        drop(self.dirty.split_off(&length.div_ceil(SECTOR)));
        self.last = 0..0;
    }

    /// The kernel writes back what it likes, when it likes: the last write, now.
    pub(crate) fn write_back(&mut self) {
        for sector in sectors(&self.last.clone()) {
            self.persist(sector);
        }
    }

    /// Everything is durable.
    pub(crate) fn sync(&mut self) {
        for sector in std::mem::take(&mut self.dirty) {
            self.persist(sector);
        }
        self.disk.resize(self.cached.len(), 0);
        self.resized = false;
        self.last = 0..0;
    }

    /// A sync that failed: some of it is durable, the rest is clean in memory and never written again.
    pub(crate) fn fail_sync(&mut self, bits: Bits<'_>) {
        self.disk = self.cut(bits);
        self.dirty.clear();
        self.resized = false;
        self.last = 0..0;
    }

    /// What a disk without power could hold.
    pub(crate) fn cut(&mut self, bits: Bits<'_>) -> Vec<u8> {
        let dirty: Vec<usize> = self.dirty.iter().copied().collect();
        let whole_length = match below(bits, 8) {
            0 => false,
            1 | 2 => {
                dirty.iter().for_each(|sector| self.persist(*sector));
                true
            }
            3 | 4 => self.tear(&dirty, bits),
            5 | 6 => self.scatter(&dirty, 1, bits),
            _ => self.scatter(&dirty, BLOCK, bits),
        };
        let mut disk = self.disk.clone();
        if whole_length {
            disk.resize(self.cached.len(), 0);
        }
        disk
    }

    /// Everything but a part of the last write.
    fn tear(&mut self, dirty: &[usize], bits: Bits<'_>) -> bool {
        let last: Vec<usize> = sectors(&self.last).collect();
        let kept = below(bits, last.len() + 1);
        let torn = last[kept..].to_vec();
        for sector in dirty.iter().filter(|sector| !torn.contains(sector)) {
            self.persist(*sector);
        }
        below(bits, 2) == 0
    }

    /// Any subset, by units of so many sectors.
    fn scatter(&mut self, dirty: &[usize], unit: usize, bits: Bits<'_>) -> bool {
        let mut decided = (usize::MAX, false);
        for sector in dirty {
            if decided.0 != sector / unit {
                decided = (sector / unit, below(bits, 2) == 0);
            }
            if decided.1 {
                self.persist(*sector);
            }
        }
        below(bits, 3) > 0
    }

    /// Copies one sector as it is in memory; the file grows where it lies behind the end.
    fn persist(&mut self, sector: usize) {
        let from = sector * SECTOR;
        let to = (from + SECTOR).min(self.cached.len());
        if from < to {
            if self.disk.len() < to {
                self.disk.resize(to, 0);
            }
            self.disk[from..to].copy_from_slice(&self.cached[from..to]);
        }
    }
}

fn sectors(range: &Range<usize>) -> impl Iterator<Item = usize> + use<> {
    let end = if range.is_empty() { range.start / SECTOR } else { range.end.div_ceil(SECTOR) };
    range.start / SECTOR..end
}
