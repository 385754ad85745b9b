//! What one seed does: a random subset of faults and of work (a swarm), and how small the bounds are.
//!
//! A plan can be made smaller, by acts and by features, to find the shortest way to a failure.

use crate::random::Random;
use connect::Bounds;
use std::collections::BTreeSet;

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident = $word:literal),+ $(,)?) => {
        /// Something that a seed may have, or not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Feature { $($(#[$doc])* $name),+ }

        impl Feature {
            /// Every one of them.
            pub const ALL: &[Feature] = &[$(Feature::$name),+];

            /// Its name on the command line.
            pub fn word(self) -> &'static str {
                match self { $(Feature::$name => $word),+ }
            }

            /// The feature of a name.
            pub fn named(word: &str) -> Option<Feature> {
                Feature::ALL.iter().copied().find(|feature| feature.word() == word)
            }
        }
    };
}

features! {
    /// Calls fail before they have an effect.
    Transients = "transients",
    /// Calls fail after they had their effect.
    Ambiguous = "ambiguous",
    /// Sites go away for a while.
    Outages = "outages",
    /// The engine is killed at any step.
    Crashes = "crashes",
    /// What is not durable is lost when it is.
    PowerCuts = "power-cuts",
    /// The log's disk answers late.
    SlowDisk = "slow-disk",
    /// Writes to the log fail.
    DiskErrors = "disk-errors",
    /// The log's disk is full for a while.
    DiskFull = "disk-full",
    /// The target refuses rows.
    Parking = "parking",
    /// Keys change.
    KeyChanges = "key-changes",
    /// Rows are deleted.
    Deletes = "deletes",
    /// Tables are emptied.
    Truncates = "truncates",
    /// Transactions larger than a group.
    Huge = "huge",
    /// Bounds are tiny.
    Tiny = "tiny",
    /// More than one site.
    ManySites = "many-sites",
    /// Foreign hands change the target, and reconciliation mends it.
    Tamper = "tamper",
    /// A batch flow beside the others.
    Batch = "batch",
    /// The mode of a flow changes.
    ModeSwitch = "mode-switch",
    /// New snapshots are asked for.
    Resync = "resync",
    /// A column comes at a source.
    NewColumn = "new-column",
    /// The source sends keys only as old images.
    KeyImages = "key-images",
    /// Engines that were paused go on after another took their place.
    Zombies = "zombies",
    /// The log is trimmed.
    Trim = "trim",
    /// A second flow of one table.
    SecondFlow = "second-flow",
    /// The second flow keeps transactions whole.
    Exact = "exact",
    /// Sources change in the middle of the engine's calls.
    Busy = "busy",
    /// A source is set back to a backup.
    SourceBackup = "source-backup",
    /// The target is set back to a backup.
    TargetBackup = "target-backup",
    /// The log is set back to a copy.
    LogBackup = "log-backup",
}

/// What one seed does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Acts before the end.
    pub acts: u64,
    /// What it has.
    pub features: BTreeSet<Feature>,
    /// Sites.
    pub sites: Vec<String>,
    /// Most that one call moves.
    pub bounds: Bounds,
}

/// How a plan is made smaller.
#[derive(Clone, Debug, Default)]
pub struct Less {
    /// Stop after so many acts.
    pub acts: Option<u64>,
    /// Leave these out.
    pub without: BTreeSet<Feature>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64, less: &Less) -> Plan {
        let mut random = Random::new(seed ^ 0x5ea_0000_0000);
        let mut features = BTreeSet::new();
        for feature in Feature::ALL {
            let on = match feature {
                // Each of these makes the rest of a run another story; too many of them hide each other.
                Feature::SourceBackup | Feature::TargetBackup | Feature::LogBackup => {
                    random.once_in(8)
                }
                Feature::Zombies | Feature::Truncates | Feature::Resync | Feature::ModeSwitch => {
                    random.once_in(4)
                }
                Feature::Parking | Feature::Batch | Feature::Trim | Feature::Tamper => {
                    random.once_in(3)
                }
                _ => random.once_in(2),
            };
            if on {
                features.insert(*feature);
            }
        }
        let sites = ["north", "south", "east", "west"];
        let many = 2 + random.below(3);
        let acts = 40 + random.below(220);
        let tiny = Bounds { changes: 1 + random.below(6) as usize, bytes: usize::MAX };
        features.retain(|feature| !less.without.contains(feature));
        let has = |feature| features.contains(&feature);
        let count = if has(Feature::ManySites) { many } else { 1 };
        Plan {
            seed,
            acts: less.acts.unwrap_or(acts),
            sites: sites[..count as usize].iter().map(|site| site.to_string()).collect(),
            bounds: if has(Feature::Tiny) { tiny } else { Bounds::BATCH },
            features,
        }
    }

    /// Whether the seed has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }
}
