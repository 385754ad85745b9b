//! Reconciliation of a flow: each table of each site is proved, certified, and mended where that was allowed.
//!
//! How the log and the target get past a cut is [`Motion`]'s business: a service waits for its threads, a one-shot
//! command steps them itself. Nothing here pauses an applier.

use crate::around::Around;
use crate::assembly::Assembly;
use crate::audit::Act;
use crate::engine::Engine;
use crate::motion::Motion;
use crate::orders::CaptureOrder;
use crate::path::TablePath;
use crate::repairs::{RepairOrder, RepairOutcome};
use crate::state::FlowIdentity;
use crate::watch::Watch;
use change::Key;
use connect::{Error, Kind, Result};
use flow::{Flow, FlowTable, Site};
use proof::{
    Certificate, Limits, Prover, RepairPlan, RowPath, Settings, Subject, TableProof, Verdict,
    Writer,
};
use std::sync::Arc;
use std::sync::mpsc::channel;

/// Whether differences are mended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mending {
    /// They are only reported.
    Dry,
    /// They are mended within limits.
    Within(Limits),
}

/// What a reconciliation came to.
#[derive(Debug, Default)]
pub struct Reconciliation {
    /// Proofs of all tables as they were found, the worst first.
    pub found: Vec<TableProof>,
    /// Proofs of the tables that were mended, made again afterwards.
    pub after: Vec<TableProof>,
    /// Rows mended.
    pub repaired: u64,
    /// Rows left alone, since something newer was there or on the way.
    pub dropped: u64,
    /// Rows that only a person can remove, by table: they stand under keys that no column of the key can hold.
    pub by_hand: Vec<(String, Key)>,
    /// Why nothing was mended, where differences were found and mending was asked for.
    pub refused: Option<String>,
    /// Numbers of the certificates made.
    pub certificates: Vec<i64>,
}

impl Reconciliation {
    /// The proofs that stand at the end: those made again take the place of the first ones.
    pub fn standing(&self) -> impl Iterator<Item = &TableProof> {
        let again = |proof: &&TableProof| {
            self.after.iter().any(|a| a.site == proof.site && a.target_table == proof.target_table)
        };
        self.after.iter().chain(self.found.iter().filter(move |proof| !again(proof)))
    }

    /// The verdict over all tables: one that is unproven makes it unproven, then one that differs.
    pub fn verdict(&self) -> Verdict {
        let (mut rows, mut parked, mut tables) = (0, 0, 0);
        for proof in self.standing() {
            tables += 1;
            match &proof.verdict {
                Verdict::Unproven(reason) => return Verdict::Unproven(reason.clone()),
                Verdict::Different { rows: r, parked: p } => {
                    rows += r;
                    parked += p;
                }
                Verdict::Equal => {}
            }
        }
        match (tables, rows + parked) {
            (0, _) => Verdict::Unproven(proof::Reason::Empty),
            // A store without rows is fine beside others that have some; nothing at all proves nothing.
            (_, 0) if self.rows() == 0 => Verdict::Unproven(proof::Reason::Empty),
            (_, 0) => Verdict::Equal,
            _ => Verdict::Different { rows, parked },
        }
    }

    /// Rows compared, over all tables.
    pub fn rows(&self) -> u64 {
        self.standing().map(|proof| proof.rows).sum()
    }
}

/// One table of one site, with what its proof needs.
struct Pair {
    site: Site,
    subject: Subject,
}

/// Reconciles a flow.
///
/// # Errors
/// What is broken; what cannot be seen now makes a table UNPROVEN instead.
pub fn reconcile(
    engine: &Engine,
    flow: &Flow,
    mending: Mending,
    motion: &mut dyn Motion,
    watch: &dyn Watch,
) -> Result<Reconciliation> {
    let identity = engine.identify(flow)?;
    let reconciler = Reconciler { engine, flow, identity, watch };
    let mut outcome = Reconciliation::default();
    let plans = reconciler.prove_all(motion, &mut outcome)?;
    if let Mending::Within(limits) = mending {
        reconciler.mend(&limits, plans, motion, &mut outcome)?;
    }
    outcome.found.sort_by_key(|proof| match proof.verdict {
        Verdict::Unproven(_) => 0,
        Verdict::Different { .. } => 1,
        Verdict::Equal => 2,
    });
    Ok(outcome)
}

/// What all proofs of one reconciliation share.
struct Reconciler<'a> {
    engine: &'a Engine,
    flow: &'a Flow,
    identity: FlowIdentity,
    watch: &'a dyn Watch,
}

/// A site that is down is unproven, and the others are proved.
fn unproven(engine: &Engine, site: &Site, table: &FlowTable, error: &Error) -> TableProof {
    let now = engine.assembly.environment.clock.now();
    TableProof {
        site: site.name.clone(),
        source_table: table.source.clone(),
        target_table: table.target.clone(),
        verdict: Verdict::Unproven(proof::Reason::Unavailable(error.to_string())),
        rows: 0,
        source_rows: 0,
        target_rows: 0,
        chunks: 0,
        leaves: 0,
        unequal_leaves: 0,
        touched: 0,
        unconfirmed: 0,
        parked: 0,
        expected: change::Digest::default(),
        found: change::Digest::default(),
        differences: Vec::new(),
        omitted: 0,
        systematic: Vec::new(),
        lag: None,
        source_cuts: None,
        target_cuts: None,
        started_at: now,
        ended_at: now,
        longest_cut_us: 0,
    }
}

fn pair(
    assembly: &Assembly,
    flow: &Flow,
    identity: &FlowIdentity,
    site: &Site,
    table: &FlowTable,
) -> Result<Pair> {
    let mut source = assembly.connectors.of(&site.settings)?.readable(&site.settings)?;
    let schema = Arc::new(source.describe(&table.source).map_err(|e| e.at(&site.name))?);
    let path = TablePath::plan(flow, table, site, schema.clone(), &*assembly.planner)?;
    let site_column = path.site_column().map(|(name, value)| (name.into(), value.into()));
    let lane = assembly.state.lane(&site.name)?.ok_or_else(|| {
        Error::unavailable(format!("{} was never captured", site.name)).fix("seamount run")
    })?;
    let writer = match flow.writer {
        flow::Writer::Flow => Writer::Flow,
        flow::Writer::Other => {
            let max_lag = i64::try_from(flow.events.max_lag.as_micros()).unwrap_or(i64::MAX);
            Writer::Other { max_lag_us: max_lag }
        }
    };
    let transform = path.transform().cloned();
    let target = path.target().clone();
    let subject = Subject {
        flow: identity.id,
        flow_name: flow.name.clone(),
        generation: identity.generation,
        site: site.name.clone(),
        lane: lane.id,
        path: RowPath::new(&table.source, schema, transform, site_column, target)?,
        writer,
    };
    Ok(Pair { site: site.clone(), subject })
}

impl Reconciler<'_> {
    /// Proves every table of every site; gives what would mend those that differ.
    fn prove_all(
        &self,
        motion: &mut dyn Motion,
        outcome: &mut Reconciliation,
    ) -> Result<Vec<(Pair, RepairPlan)>> {
        let mut plans = Vec::new();
        let mut done = 0;
        let project = &self.engine.assembly.project;
        for site in self.flow.sites.iter().filter_map(|name| project.sites.get(name)) {
            for table in &self.flow.tables {
                let pair = match pair(&self.engine.assembly, self.flow, &self.identity, site, table)
                {
                    Ok(pair) => pair,
                    Err(e) if e.kind == Kind::Unavailable => {
                        outcome.found.push(unproven(self.engine, site, table, &e));
                        continue;
                    }
                    Err(e) => return Err(e),
                };
                let proof = self.prove(&pair, motion, done)?;
                done += proof.rows;
                outcome.certificates.push(self.certify(&pair.subject, &proof)?);
                let plan = RepairPlan::of(&proof, &pair.subject.path)?;
                let by_hand = plan.by_hand.iter().map(|key| (table.target.clone(), key.clone()));
                outcome.by_hand.extend(by_hand);
                if !plan.is_empty() {
                    plans.push((pair, plan));
                }
                outcome.found.push(proof);
            }
        }
        Ok(plans)
    }

    /// Proves one table; `done` rows were compared before.
    fn prove(&self, pair: &Pair, motion: &mut dyn Motion, done: u64) -> Result<TableProof> {
        let assembly = &self.engine.assembly;
        let target = assembly
            .project
            .sites
            .get(&self.flow.target)
            .ok_or_else(|| Error::internal("the flow's target is no site"))?;
        let prover = Prover {
            log: &*assembly.log,
            clock: &*assembly.environment.clock,
            key: assembly.digest_key,
            settings: Settings { empty: proof::Empty::Fine, ..Settings::default() },
        };
        let target_settings = target.settings.as_target();
        let mut around = Around {
            assembly,
            identity: &self.identity,
            site: &pair.site,
            subject: &pair.subject,
            source: assembly.connectors.of(&pair.site.settings)?,
            target: assembly.connectors.of(&target.settings)?,
            target_settings: &target_settings,
            motion,
            watch: self.watch,
            done,
        };
        prover.prove(&pair.subject, &mut around)
    }

    /// Chains a certificate to the flow's newest one; gives its number.
    fn certify(&self, subject: &Subject, proof: &TableProof) -> Result<i64> {
        let state = &self.engine.assembly.state;
        let previous = match state.newest_certificate(Some(self.identity.id))? {
            Some(stored) => Some(Certificate::read(&stored.body).map_err(|found| {
                Error::corrupt(format!("certificate {} reads back wrong", stored.number))
                    .found(found)
                    .effect("no new certificate is chained to it")
                    .fix(format!("seamount certificate verify {}", subject.flow_name))
                    .code("E0514")
            })?),
            None => None,
        };
        let certificate = Certificate::seal(proof, subject, previous.as_ref())?;
        let body = certificate.to_bytes();
        state.add_certificate(self.identity.id, proof.ended_at, &certificate.verdict, &body)
    }

    /// Mends what was found, if all of it together stays within the limits, and proves again what was touched.
    fn mend(
        &self,
        limits: &Limits,
        plans: Vec<(Pair, RepairPlan)>,
        motion: &mut dyn Motion,
        outcome: &mut Reconciliation,
    ) -> Result<()> {
        if plans.is_empty() {
            return Ok(());
        }
        if self.flow.writer == flow::Writer::Other {
            outcome.refused = Some("somebody else writes this table; we only prove it".into());
            return Ok(());
        }
        let compared = outcome.found.iter().map(|proof| proof.rows).sum();
        if let Err(refusal) = together(&plans).allowed(limits, compared) {
            outcome.refused = Some(refusal.to_string());
            return Ok(());
        }
        self.note_repair(&plans)?;
        let mut done = 0;
        for (pair, plan) in plans {
            self.place(&pair, plan, motion, outcome)?;
            let proof = self.prove(&pair, motion, done)?;
            done += proof.rows;
            outcome.certificates.push(self.certify(&pair.subject, &proof)?);
            outcome.after.push(proof);
        }
        Ok(())
    }

    /// Tells the audit log of repairs before the first of them is written.
    fn note_repair(&self, plans: &[(Pair, RepairPlan)]) -> Result<()> {
        let rows: u64 = plans.iter().map(|(_, plan)| plan.changes).sum();
        let detail = format!("flow {}: {rows} rows", self.flow.name);
        let at = self.engine.assembly.environment.clock.now();
        self.engine.assembly.state.audit(Act { at, what: "repair", detail })
    }

    /// Hands one table's repairs to the applier, and what the log lacks to the capture.
    fn place(
        &self,
        pair: &Pair,
        plan: RepairPlan,
        motion: &mut dyn Motion,
        outcome: &mut Reconciliation,
    ) -> Result<()> {
        for lot in plan.lots {
            let asked = (lot.rows.num_rows() + lot.gone.num_rows()) as u64;
            let (sender, receiver) = channel();
            self.engine.repairs.place(RepairOrder {
                flow: self.flow.name.clone(),
                lane: pair.subject.lane,
                table: pair.subject.path.target().name.clone(),
                known_at: lot.known_at,
                rows: lot.rows,
                gone: lot.gone,
                outcome: sender,
            });
            let mended = motion.repaired(&receiver)?;
            let mended = mended.unwrap_or(RepairOutcome { repaired: 0, dropped: asked });
            outcome.repaired += mended.repaired;
            outcome.dropped += mended.dropped;
        }
        if !plan.recapture.is_empty() {
            outcome.repaired += plan.recapture.len() as u64;
            let table = pair.subject.path.source_table().to_string();
            let order = CaptureOrder::Keys { table, keys: plan.recapture };
            self.engine.orders.place(&pair.site.name, order);
        }
        Ok(())
    }
}

/// All plans as one, for the limits: they are of the flow, not of each table.
fn together(plans: &[(Pair, RepairPlan)]) -> RepairPlan {
    RepairPlan {
        lots: Vec::new(),
        recapture: Vec::new(),
        by_hand: Vec::new(),
        changes: plans.iter().map(|(_, plan)| plan.changes).sum(),
        systematic: plans.iter().find_map(|(_, plan)| plan.systematic.clone()),
    }
}
