//! What goes wrong in `postgres-chaos`, and in which order: every kind once before any comes again.

use crate::random::Random;

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// `kill -9` of the engine.
    EngineKilled,
    /// The engine is asked to stop, and started again.
    EngineStopped,
    /// `kill -9` of the source's server and all its processes.
    SourceCrashed,
    /// The same of the target's.
    TargetCrashed,
    /// The engine is killed with the source's server, and comes back before it.
    EngineBeforeSource,
    /// The engine is killed with the target's server, and comes back before it.
    EngineBeforeTarget,
    /// Connections to the source are reset.
    SourceCut,
    /// Connections to the target are reset.
    TargetCut,
    /// Nothing passes to or from the source for a while.
    SourceStalled,
    /// Nothing passes to or from the target for a while.
    TargetStalled,
    /// The source's ends of connections are lost, and the engine is not told for a while.
    SourceHalfOpen,
    /// The same of the target's.
    TargetHalfOpen,
    /// The target is sent COMMIT, and the connection closed before its answer (F19).
    CommitCut,
    /// The target is sent COMMIT, and nothing more is heard for a while.
    CommitSilenced,
    /// The target is sent COMMIT, and the engine killed before its answer.
    CommitKilled,
}

use Event::{
    CommitCut, CommitKilled, CommitSilenced, EngineBeforeSource, EngineBeforeTarget, EngineKilled,
    EngineStopped, SourceCrashed, SourceCut, SourceHalfOpen, SourceStalled, TargetCrashed,
    TargetCut, TargetHalfOpen, TargetStalled,
};

/// Every kind.
pub(crate) const ALL: [Event; 15] = [
    EngineKilled,
    EngineStopped,
    SourceCrashed,
    TargetCrashed,
    EngineBeforeSource,
    EngineBeforeTarget,
    SourceCut,
    TargetCut,
    SourceStalled,
    TargetStalled,
    SourceHalfOpen,
    TargetHalfOpen,
    CommitCut,
    CommitSilenced,
    CommitKilled,
];

/// Where every second counts: a server takes some to recover, and the other drill crashes the target.
pub(crate) const QUICK: [Event; 7] = [
    EngineKilled,
    SourceCrashed,
    TargetCut,
    TargetStalled,
    SourceHalfOpen,
    CommitCut,
    CommitKilled,
];

/// What comes next, by the seed.
#[derive(Debug)]
pub(crate) struct Deck {
    kinds: &'static [Event],
    left: Vec<Event>,
}

impl Deck {
    /// Of these kinds.
    pub(crate) fn of(kinds: &'static [Event]) -> Deck {
        Deck { kinds, left: Vec::new() }
    }

    /// The next event.
    pub(crate) fn next(&mut self, random: &mut Random) -> Event {
        if self.left.is_empty() {
            self.left = self.kinds.to_vec();
        }
        let at = usize::try_from(random.below(self.left.len() as u64)).expect("below a length");
        self.left.swap_remove(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_once_before_any_comes_again() {
        let (mut deck, mut random) = (Deck::of(&ALL), Random::new(3));
        for _ in 0..2 {
            let mut dealt: Vec<Event> = ALL.iter().map(|_| deck.next(&mut random)).collect();
            assert_ne!(dealt, ALL);
            dealt.sort_unstable();
            assert_eq!(dealt, ALL);
        }
    }
}
