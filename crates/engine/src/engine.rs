//! An engine over one project: who its flows are, and which targets it may write.

use crate::assembly::Assembly;
use crate::orders::Orders;
use crate::repairs::Repairs;
use crate::state::FlowIdentity;
use change::{FlowId, Generation, HolderId};
use connect::{Claim, Error, Result};
use flow::{Flow, Writer};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Whether a target that another engine holds is taken from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TakeOver {
    /// It is left alone.
    #[default]
    Never,
    /// The operator said so.
    Asked,
}

/// An engine.
#[derive(Clone)]
pub struct Engine {
    /// Its pieces.
    pub assembly: Assembly,
    /// What flows ask of captures.
    pub orders: Orders,
    /// What proofs ask of appliers.
    pub repairs: Repairs,
    take_over: TakeOver,
    claimed: Arc<Mutex<BTreeSet<String>>>,
}

impl Engine {
    /// An engine that has claimed nothing yet.
    pub fn new(assembly: Assembly, take_over: TakeOver) -> Self {
        Engine {
            assembly,
            orders: Orders::default(),
            repairs: Repairs::default(),
            take_over,
            claimed: Arc::default(),
        }
    }

    /// A flow of the project, by name.
    ///
    /// # Errors
    /// `Invalid` when there is none of that name.
    pub fn flow(&self, name: &str) -> Result<&Flow> {
        let flows = &self.assembly.project.flows;
        flows.iter().find(|flow| flow.name == name).ok_or_else(|| {
            let known: Vec<&str> = flows.iter().map(|flow| flow.name.as_str()).collect();
            Error::invalid(format!("there is no flow {name}"))
                .found(format!("flows are: {}", known.join(", ")))
                .code("E0301")
        })
    }

    /// Who a flow is under its present definition, and the right to write its target.
    ///
    /// # Errors
    /// `Conflict` when the target is held by another engine.
    pub fn enter(&self, flow: &Flow) -> Result<FlowIdentity> {
        let identity = self.identify(flow)?;
        if flow.writer == Writer::Flow {
            self.claim(&flow.target)?;
        }
        Ok(identity)
    }

    /// Who a flow is under its present definition.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub fn identify(&self, flow: &Flow) -> Result<FlowIdentity> {
        let random = &self.assembly.environment.random;
        self.assembly.state.identify(
            &flow.name,
            &flow::definition(flow),
            FlowId::mint(random.bits()),
            Generation::mint(random.bits()),
        )
    }

    /// Becomes the one engine that may write a target; once for each start of the engine.
    fn claim(&self, site: &str) -> Result<()> {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed.contains(site) {
            return Ok(());
        }
        let Assembly { project, connectors, state, environment, .. } = &self.assembly;
        let settings = &project
            .sites
            .get(site)
            .ok_or_else(|| Error::internal(format!("unknown target {site}")))?
            .settings;
        let mut target = connectors.of(settings)?.target(settings)?;
        target.prepare(&[])?;
        let known = state.holders(site)?;
        let holder = HolderId::mint(environment.random.bits());
        state.intend_holder(site, holder)?;
        let take_over = self.take_over == TakeOver::Asked;
        target.claim(&Claim { holder, known, take_over }).map_err(|e| e.at(site))?;
        state.settle_holder(site, holder)?;
        claimed.insert(site.to_string());
        Ok(())
    }
}
