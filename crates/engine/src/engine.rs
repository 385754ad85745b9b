//! An engine over one project: who its flows are, and which targets it may write.

use crate::assembly::Assembly;
use crate::capture::LaneCapture;
use crate::holders::Holders;
use crate::ledger::Ledgers;
use crate::orders::{CaptureOrder, Orders};
use crate::repairs::Repairs;
use crate::state::FlowIdentity;
use change::{FlowId, Generation, LaneId};
use connect::{Claim, Error, Result, Target};
use flow::{Flow, Site};

/// Earlier readers of a source that are remembered. Each start adds one; to forget them each time would be one more
/// durable write for each of many sites.
const KNOWN_READERS: usize = 16;

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
    /// What the log says of each table.
    pub ledgers: Ledgers,
    take_over: TakeOver,
    holders: Holders,
}

impl Engine {
    /// An engine that has claimed nothing yet.
    pub fn new(assembly: Assembly, take_over: TakeOver) -> Self {
        Engine {
            assembly,
            orders: Orders::default(),
            repairs: Repairs::default(),
            ledgers: Ledgers::default(),
            take_over,
            holders: Holders::default(),
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

    /// Who a flow is under its present definition.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub fn identify(&self, flow: &Flow) -> Result<FlowIdentity> {
        let random = &self.assembly.environment.random;
        let mut definition = flow::fingerprint::definition(flow);
        definition += &flow::fingerprint::masks(flow, &self.assembly.project.sites);
        self.assembly.state.identify(
            &flow.name,
            &definition,
            FlowId::mint(random.bits()),
            Generation::mint(random.bits()),
        )
    }

    /// Orders a snapshot of each stream that has none: a flow that only proves needs the log to know every row.
    ///
    /// # Errors
    /// The state file cannot be written.
    pub fn order_missing_snapshots(&self, flow: &Flow) -> Result<()> {
        for site in &flow.sites {
            let minted = LaneId::mint(self.assembly.environment.random.bits());
            let lane = self.assembly.state.lane_or(site, minted)?;
            for table in &flow.tables {
                if self.assembly.state.stream(lane.id, &table.source)?.snapshot.is_none() {
                    let table = table.source.clone();
                    self.orders.place(site, CaptureOrder::Snapshot { table });
                }
            }
        }
        Ok(())
    }

    /// Opens the capture of `tables` at a site, as the one engine that may let go of what the site keeps. As with a
    /// target, a new holder is remembered before it is shown.
    ///
    /// # Errors
    /// As [`LaneCapture::open`]; `Conflict` when another engine captures there.
    pub fn open_capture(&self, site: &Site, tables: &[String]) -> Result<LaneCapture> {
        let mut capture = LaneCapture::open(&self.assembly, &self.orders, site, tables)?;
        let shown_to = format!("{} (source)", site.name);
        let mut claim = |claim: &Claim| capture.claim(claim);
        self.holders.show(&self.assembly, &shown_to, self.take_over, KNOWN_READERS, &mut claim)?;
        Ok(capture)
    }

    /// Opens a target as the one engine that may write it. The first time, the target is shown a new holder, which
    /// is remembered before it is shown; later connections show the same one.
    ///
    /// # Errors
    /// `Conflict` when the target is held by another engine.
    pub fn open_target(&self, site: &str) -> Result<Box<dyn Target>> {
        let Assembly { project, connectors, .. } = &self.assembly;
        let settings = &project
            .sites
            .get(site)
            .ok_or_else(|| Error::internal(format!("unknown target {site}")))?
            .settings;
        let mut target = connectors.of(settings)?.target(settings)?;
        target.prepare(&[])?;
        let mut claim = |claim: &Claim| target.claim(claim).map_err(|e| e.at(site));
        self.holders.show(&self.assembly, site, self.take_over, 0, &mut claim)?;
        Ok(target)
    }
}
