//! The log in memory passes the suite.

use change::LogId;
use connect::Log;
use connect::conformance::Arranged;
use connect::conformance::log::{LogHarness, all};
use connect::memory::MemoryLog;
use std::sync::Arc;

/// A log in memory.
pub(super) struct Memory(MemoryLog);

impl Memory {
    pub(super) fn new() -> Self {
        Memory(MemoryLog::new(LogId::mint(0x1060)))
    }
}

impl LogHarness for Memory {
    fn open(&mut self) -> Arc<dyn Log> {
        Arc::new(self.0.clone())
    }

    fn crash(&mut self, _log: Arc<dyn Log>) -> Arc<dyn Log> {
        self.0 = self.0.crash();
        self.open()
    }

    fn hold(&mut self) -> Arranged {
        self.0.hold();
        Arranged::Done
    }

    fn release(&mut self) {
        self.0.release();
    }

    fn fail_next_write(&mut self) -> Arranged {
        self.0.fail_next_write();
        Arranged::Done
    }

    fn fill_disk(&mut self) -> Arranged {
        self.0.fill_disk();
        Arranged::Done
    }
}

#[test]
fn the_log_in_memory_passes() {
    all(&mut || Box::new(Memory::new()));
}
