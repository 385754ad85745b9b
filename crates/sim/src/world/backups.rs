//! Copies that are made, and put back later: of a source, of the target, of the engine's folder.
//!
//! Each of them must be noticed, or must not matter.

use super::story::{Restart, World};
use crate::drill::Violation;
use crate::oracle::{Noted, SeenFlows, uncover};
use crate::world::machine::locked;
use crate::world::plan::Feature;
use change::LaneId;
use connect::State as Named;
use connect::memory::{Backup, MemoryLog, TargetBackup};
use engine::TakeOver;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

type Tampered = BTreeSet<(String, String, i64)>;

/// What was copied last.
#[derive(Default)]
pub(super) struct Backups {
    source: Option<SourceCopy>,
    target: Option<TargetCopy>,
    folder: Option<FolderCopy>,
}

struct SourceCopy {
    site: String,
    backup: Backup,
    length: usize,
    wide: bool,
}

struct TargetCopy {
    backup: TargetBackup,
    seen: SeenFlows,
    tampered: Tampered,
}

struct FolderCopy {
    log: MemoryLog,
    groups: BTreeMap<LaneId, BTreeMap<u64, Noted>>,
    folder: PathBuf,
}

impl World {
    /// Makes a copy of something.
    pub(super) fn back_up(&mut self) {
        match self.which() {
            Some(Feature::SourceBackup) => {
                let site = self.random.pick(&self.plan.sites.clone()).clone();
                let source = &self.outside.sources[&site];
                // What was there before a capture has no numbers that could tell.
                if crate::world::business::number_of(source) == 0 {
                    return;
                }
                self.note(|| format!("a backup of {site}"));
                let copy = SourceCopy {
                    backup: source.backup(),
                    length: self.oracle().sites[&site].length(),
                    wide: locked(&self.business).is_wide(&site),
                    site,
                };
                self.backups.source = Some(copy);
            }
            Some(Feature::TargetBackup) => {
                self.note(|| "a backup of the target".into());
                let oracle = self.oracle();
                let copy = TargetCopy {
                    backup: self.outside.target.backup(),
                    seen: oracle.seen.clone(),
                    tampered: oracle.tampered.clone(),
                };
                drop(oracle);
                self.backups.target = Some(copy);
            }
            Some(Feature::LogBackup) => {
                self.note(|| "a copy of the engine's folder".into());
                let folder = self.copy_folder();
                let copy = FolderCopy {
                    log: self.outside.log.copy(),
                    groups: self.oracle().groups.clone(),
                    folder,
                };
                self.backups.folder = Some(copy);
            }
            _ => {}
        }
    }

    /// Puts a copy in the place of what it was made of.
    pub(super) fn restore(&mut self) -> Result<(), Violation> {
        match self.which() {
            Some(Feature::SourceBackup) => {
                if let Some(copy) = self.backups.source.take() {
                    self.restore_source(&copy);
                }
                Ok(())
            }
            Some(Feature::TargetBackup) => match self.backups.target.take() {
                Some(copy) => self.restore_target(copy),
                None => Ok(()),
            },
            Some(Feature::LogBackup) => match self.backups.folder.take() {
                Some(copy) => self.restore_folder(copy),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn which(&mut self) -> Option<Feature> {
        let all = [Feature::SourceBackup, Feature::TargetBackup, Feature::LogBackup];
        let there: Vec<Feature> = all.into_iter().filter(|feature| self.has(*feature)).collect();
        (!there.is_empty()).then(|| *self.random.pick(&there))
    }

    fn restore_source(&mut self, copy: &SourceCopy) {
        let site = &copy.site;
        let same = self.oracle().sites[site].length() == copy.length;
        let captured = crate::world::business::number_of(&self.outside.sources[site]) > 0;
        if same || !captured {
            return;
        }
        self.outside.sources[site].restore(&copy.backup);
        locked(&self.business).set_wide(site, copy.wide);
        let mut oracle = self.oracle();
        oracle.sites.get_mut(site).expect("every site has books").set_back(copy.length);
        oracle.reached("source_set_back");
        drop(oracle);
        self.forget_coverage(site);
        self.note(|| format!("{site} is set back"));
        self.justified.extend([Named::HistoryChanged, Named::PositionLost, Named::SchemaBlocked]);
    }

    fn restore_target(&mut self, copy: TargetCopy) -> Result<(), Violation> {
        self.note(|| "the target is set back".into());
        self.room.hand_over();
        self.outside.target.restore(&copy.backup);
        let mut oracle = self.oracle();
        (oracle.seen, oracle.tampered) = (copy.seen, copy.tampered);
        oracle.reached("target_set_back");
        drop(oracle);
        self.zombie = None;
        self.justified.extend([Named::PositionLost, Named::Fenced]);
        self.restart(Restart::Clean, TakeOver::Asked)
    }

    fn restore_folder(&mut self, copy: FolderCopy) -> Result<(), Violation> {
        self.note(|| "the engine's folder is set back to its copy".into());
        self.room.hand_over();
        self.outside.log = copy.log;
        self.folder = copy.folder;
        self.oracle().groups = copy.groups;
        self.plan.sites.clone().iter().for_each(|site| self.forget_coverage(site));
        let mut oracle = self.oracle();
        oracle.seen.clear();
        // The copy may know fewer lanes; those are made anew under other names.
        oracle.lanes.clear();
        drop(oracle);
        self.zombie = None;
        self.justified.extend([
            Named::LogBehindTarget,
            Named::PositionLost,
            Named::HistoryChanged,
            Named::Fenced,
            Named::SchemaBlocked,
        ]);
        self.restart(Restart::Clean, TakeOver::Asked)?;
        self.learn_lanes();
        Ok(())
    }

    /// What flows have seen of a site counts no more; a target that is set back later shows it just as little.
    pub(super) fn forget_coverage(&mut self, site: &str) {
        let mut oracle = self.oracle();
        oracle.forget_coverage(site);
        let lane = oracle.lanes.get(site).copied();
        drop(oracle);
        if let (Some(lane), Some(copy)) = (lane, &mut self.backups.target) {
            uncover(&mut copy.seen, lane);
        }
    }

    /// A copy of the state file and of what SQLite keeps beside it.
    pub(super) fn copy_folder(&mut self) -> PathBuf {
        self.folders_made += 1;
        let copy = self.folders.path().join(format!("copy-{}", self.folders_made));
        std::fs::create_dir(&copy).expect("a folder for a copy");
        for name in ["state.db", "state.db-wal"] {
            let from = self.folder.join(name);
            if from.exists() {
                std::fs::copy(from, copy.join(name)).expect("a state file can be copied");
            }
        }
        copy
    }
}
