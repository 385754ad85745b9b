//! What may happen next: work, steps of the engine, the disk, and whatever the seed has besides.

use super::operator::Found;
use super::story::{Restart, World};
use crate::drill::Violation;
use crate::world::machine::locked;
use crate::world::plan::Feature;
use crate::world::room::{Keep, Outcome};
use engine::TakeOver;
use flow::Apply;

/// One kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Work,
    Capture,
    Apply,
    Sync,
    DiskError,
    DiskFull,
    Restart,
    RunBatch,
    Tamper,
    Reconcile,
    Resync,
    SwitchMode,
    ReplayLetters,
    Trim,
    Widen,
    TakeOver,
    StepZombie,
    Backup,
    Restore,
}

impl World {
    /// Acts with their weights.
    fn offers(&self) -> Vec<(Act, u64)> {
        let when = |feature, weight| if self.has(feature) { weight } else { 0 };
        let any_backup = when(Feature::SourceBackup, 2)
            + when(Feature::TargetBackup, 2)
            + when(Feature::LogBackup, 2);
        vec![
            (Act::Work, 60),
            (Act::Capture, 60),
            (Act::Apply, 60),
            (Act::Sync, when(Feature::SlowDisk, 25)),
            (Act::DiskError, when(Feature::DiskErrors, 2)),
            (Act::DiskFull, when(Feature::DiskFull, 3)),
            (Act::Restart, 2),
            (Act::RunBatch, when(Feature::Batch, 8).max(when(Feature::ModeSwitch, 6))),
            (Act::Tamper, when(Feature::Tamper, 6)),
            (Act::Reconcile, when(Feature::Tamper, 5)),
            (Act::Resync, when(Feature::Resync, 3)),
            (Act::SwitchMode, when(Feature::ModeSwitch, 4)),
            (Act::ReplayLetters, when(Feature::Parking, 4)),
            (Act::Trim, when(Feature::Trim, 6)),
            // A source that is set back would lose its column, and the target keep what stood in it.
            (
                Act::Widen,
                if self.has(Feature::SourceBackup) { 0 } else { when(Feature::NewColumn, 2) },
            ),
            (Act::TakeOver, when(Feature::Zombies, 4)),
            (Act::StepZombie, when(Feature::Zombies, 12)),
            (Act::Backup, any_backup),
            (Act::Restore, any_backup),
        ]
    }

    /// Lets one thing happen.
    pub(super) fn act(&mut self) -> Result<(), Violation> {
        let offers = self.offers();
        let all = offers.iter().map(|(_, weight)| weight).sum();
        let mut drawn = self.random.below(all);
        let mut chosen = Act::Work;
        for (act, weight) in offers {
            if drawn < weight {
                chosen = act;
                break;
            }
            drawn -= weight;
        }
        match chosen {
            Act::Work => {
                self.work();
                Ok(())
            }
            Act::Capture => {
                let site = self.random.pick(&self.plan.sites.clone()).clone();
                self.capture(&site).map(drop)
            }
            Act::Apply => self.apply_any(),
            Act::Sync => {
                self.sync();
                Ok(())
            }
            Act::DiskError => {
                self.note(|| "the next write to the log fails".into());
                self.outside.log.fail_next_write();
                self.oracle().reached("disk_error");
                Ok(())
            }
            Act::DiskFull => {
                self.note(|| "the log's disk is full".into());
                self.outside.log.fill_disk();
                self.oracle().reached("disk_full");
                Ok(())
            }
            Act::Restart => self.restart(Restart::Clean, TakeOver::Never),
            Act::RunBatch => self.run_batch(),
            Act::Tamper => {
                self.tamper();
                Ok(())
            }
            Act::Reconcile => self.reconcile_any(),
            Act::Resync => self.resync_any(),
            Act::SwitchMode => self.switch_mode(),
            Act::ReplayLetters => self.replay_letters(),
            Act::Trim => self.trim(),
            Act::Widen => self.widen(),
            Act::TakeOver => self.take_over(),
            Act::StepZombie => self.step_zombie(),
            Act::Backup => {
                self.back_up();
                Ok(())
            }
            Act::Restore => self.restore(),
        }
    }

    pub(super) fn work(&mut self) {
        let done = locked(&self.business).transact(&mut locked(&self.oracle));
        self.note(|| done.clone());
    }

    /// What was taken becomes durable; a full disk has room again.
    pub(super) fn sync(&mut self) {
        self.note(|| "the disk has taken everything".into());
        self.outside.log.release();
        if self.has(Feature::SlowDisk) && !self.calm() {
            self.outside.log.hold();
        }
    }

    pub(super) fn capture(&mut self, site: &str) -> Result<Found, Violation> {
        if self.stopped.contains_key(site) {
            return Ok(Found::Nothing);
        }
        let outcome = self.room.capture(site);
        self.settle_outcome(site, outcome)
    }

    pub(super) fn apply(&mut self, flow: &str) -> Result<Found, Violation> {
        if self.stopped.contains_key(flow) {
            return Ok(Found::Nothing);
        }
        let keep = if self.random.once_in(2) { Keep::Applier } else { Keep::Nothing };
        let outcome = self.room.apply(flow, keep);
        self.settle_outcome(flow, outcome)
    }

    /// What a step came to, for the world.
    pub(super) fn settle_outcome(
        &mut self,
        who: &str,
        outcome: Outcome,
    ) -> Result<Found, Violation> {
        if self.machine().off {
            return Ok(Found::Nothing);
        }
        match outcome {
            Outcome::Moved => Ok(Found::Something),
            Outcome::Idle => Ok(Found::Nothing),
            Outcome::Later(why) => {
                self.note(|| format!("{who} later: {why}"));
                Ok(Found::Nothing)
            }
            Outcome::Stopped(state, why) => self.stop(who, state, &why).map(|()| Found::Nothing),
            Outcome::Broken => {
                self.note(|| "the log is poisoned".into());
                self.restart(Restart::PowerCut, TakeOver::Never).map(|()| Found::Nothing)
            }
        }
    }

    fn apply_any(&mut self) -> Result<(), Violation> {
        let flows = self.names(Apply::Events);
        if flows.is_empty() {
            return Ok(());
        }
        let flow = self.random.pick(&flows).clone();
        self.apply(&flow).map(drop)
    }

    /// Flows by the way they write.
    pub(super) fn names(&self, apply: Apply) -> Vec<String> {
        let flows = self.definitions.flows.iter().filter(|flow| flow.apply() == apply);
        flows.map(|flow| flow.name.clone()).collect()
    }
}
