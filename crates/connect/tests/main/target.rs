use connect::Target;
use connect::conformance::Arranged;
use connect::conformance::target::{TargetHarness, all};
use connect::memory::MemoryTarget;

pub(crate) struct Memory(MemoryTarget);

impl TargetHarness for Memory {
    fn open(&mut self) -> Box<dyn Target> {
        Box::new(self.0.open())
    }

    fn unique(&mut self, table: &str, column: &str) -> Arranged {
        self.0.unique(table, column);
        Arranged::Done
    }
}

#[test]
fn memory_passes() {
    all(&mut || Box::new(Memory(MemoryTarget::new())));
}
