//! Who this engine is to each site that it writes to or captures: a holder for each, new at every start.
//!
//! Invariant: a holder is remembered before it is shown, and once it is shown later connections show the same one.
//! Each site has a lock of its own, so that one that does not answer keeps no other waiting.

use crate::assembly::Assembly;
use crate::audit::Act;
use crate::engine::TakeOver;
use change::HolderId;
use connect::{Claim, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What one site was shown.
#[derive(Clone, Copy, Default)]
enum Shown {
    #[default]
    Nothing,
    /// It is remembered; whether the site has seen it is not known.
    Intended(HolderId),
    Accepted(HolderId),
}

/// Holders by what they were shown to.
#[derive(Clone, Default)]
pub(crate) struct Holders(Arc<Mutex<BTreeMap<String, Arc<Mutex<Shown>>>>>);

impl Holders {
    /// Shows a site, target or source, who this engine is. `earlier` holders at most stay remembered afterwards.
    ///
    /// # Errors
    /// Those of `claim`; the state file cannot be written.
    pub(crate) fn show(
        &self,
        assembly: &Assembly,
        site: &str,
        take_over: TakeOver,
        earlier: usize,
        claim: &mut dyn FnMut(&Claim) -> Result<()>,
    ) -> Result<()> {
        let Assembly { state, environment, .. } = assembly;
        let shown = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(site.to_string()).or_default().clone()
        };
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        let (holder, known) = match *shown {
            Shown::Accepted(holder) => {
                return claim(&Claim { holder, known: vec![holder], take_over: false });
            }
            Shown::Intended(holder) => (holder, state.holders(site)?),
            Shown::Nothing => {
                let known = state.holders(site)?;
                let holder = HolderId::mint(environment.random.bits());
                state.intend_holder(site, holder)?;
                *shown = Shown::Intended(holder);
                (holder, known)
            }
        };
        let take_over = take_over == TakeOver::Asked;
        if take_over {
            let detail = format!("{site}, holder {holder}");
            state.audit(Act { at: environment.clock.now(), what: "take-over", detail })?;
        }
        let many = known.len() > earlier;
        claim(&Claim { holder, known, take_over })?;
        if many {
            state.settle_holder(site, holder)?;
        }
        *shown = Shown::Accepted(holder);
        Ok(())
    }
}
