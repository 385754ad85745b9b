//! Reconciliation of a flow: each table of each site is proved, certified, and mended where that was allowed.
//!
//! How the log and the target get past a cut is [`Motion`]'s business: a service waits for its threads, a one-shot
//! command steps them itself. Nothing here pauses an applier.

use crate::around::{Around, Opened};
use crate::audit::Act;
use crate::certify::certify;
use crate::engine::Engine;
use crate::ledger::lacks;
use crate::motion::Motion;
use crate::orders::CaptureOrder;
use crate::pair::{Pair, subject, writer_of};
use crate::repairs::{RepairOrder, RepairOutcome};
use crate::state::{FlowIdentity, LedgerName};
use crate::watch::Watch;
use change::Key;
use connect::{Error, Kind, Result};
use flow::{Flow, FlowTable, Site};
use proof::{
    About, Ledger, Limits, Mended, Prover, Reason, RepairPlan, Settings, Subject, TableProof, Tier,
    Verdict,
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
    /// How the tables were proved.
    pub tier: Tier,
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
    /// Numbers of the certificates made, in the flow's chain.
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

    /// The verdict over all tables: one that is unproven makes it unproven, then one that differs. A table without
    /// rows is fine beside others that have some; nothing at all proves nothing.
    pub fn verdict(&self) -> Verdict {
        let (mut rows, mut parked) = (0, 0);
        for proof in self.standing() {
            match &proof.verdict {
                Verdict::Unproven(Reason::Empty) | Verdict::Equal => {}
                Verdict::Unproven(reason) => return Verdict::Unproven(reason.clone()),
                Verdict::Different { rows: r, parked: p } => {
                    rows += r;
                    parked += p;
                }
            }
        }
        match rows + parked {
            0 if self.rows() == 0 => Verdict::Unproven(Reason::Empty),
            0 => Verdict::Equal,
            _ => Verdict::Different { rows, parked },
        }
    }

    /// Rows compared, over all tables.
    pub fn rows(&self) -> u64 {
        self.standing().map(|proof| proof.rows).sum()
    }
}

/// Reconciles a flow: by scans of both sides, or of the target alone by its ledgers.
///
/// # Errors
/// What is broken; what cannot be seen now makes a table UNPROVEN instead.
pub fn reconcile(
    engine: &Engine,
    flow: &Flow,
    tier: Tier,
    mending: Mending,
    motion: &mut dyn Motion,
    watch: &dyn Watch,
) -> Result<Reconciliation> {
    let identity = engine.identify(flow)?;
    if tier == Tier::Ledger {
        engine.ledgers.catch_up(&engine.assembly, flow, &identity)?;
    }
    let reconciler = Reconciler { engine, flow, tier, identity, watch };
    let mut outcome = Reconciliation { tier, ..Reconciliation::default() };
    let plans = reconciler.prove_all(motion, &mut outcome)?;
    if let Mending::Within(limits) = mending {
        reconciler.mend(&limits, plans, motion, &mut outcome)?;
    }
    outcome.found.sort_by_key(|proof| match proof.verdict {
        Verdict::Unproven(Reason::Empty) => 2,
        Verdict::Unproven(_) => 0,
        Verdict::Different { .. } => 1,
        Verdict::Equal => 3,
    });
    Ok(outcome)
}

/// What would mend a table, and the certificate of what was found there.
struct Planned {
    pair: Pair,
    ledger: Option<Ledger>,
    plan: RepairPlan,
    found_by: i64,
}

/// What all proofs of one reconciliation share.
struct Reconciler<'a> {
    engine: &'a Engine,
    flow: &'a Flow,
    tier: Tier,
    identity: FlowIdentity,
    watch: &'a dyn Watch,
}

impl Reconciler<'_> {
    /// Proves every table of every site; gives what would mend those that differ.
    fn prove_all(
        &self,
        motion: &mut dyn Motion,
        outcome: &mut Reconciliation,
    ) -> Result<Vec<Planned>> {
        let mut plans = Vec::new();
        let mut done = 0;
        let project = &self.engine.assembly.project;
        for site in self.flow.sites.iter().filter_map(|name| project.sites.get(name)) {
            for table in &self.flow.tables {
                let (pair, ledger) = match self.find(site, table)? {
                    Ok(found) => found,
                    Err(reason) => {
                        let (proof, number) = self.unseen(site, table, reason)?;
                        outcome.certificates.push(number);
                        outcome.found.push(proof);
                        continue;
                    }
                };
                let proof = self.prove(&pair, ledger.as_ref(), motion, done)?;
                done += proof.rows;
                let found_by = self.certify(&pair.subject, &proof, None)?;
                outcome.certificates.push(found_by);
                let plan = RepairPlan::of(&proof, &pair.subject.path)?;
                let by_hand = plan.by_hand.iter().map(|key| (table.target.clone(), key.clone()));
                outcome.by_hand.extend(by_hand);
                if !plan.is_empty() {
                    plans.push(Planned { pair, ledger, plan, found_by });
                }
                outcome.found.push(proof);
            }
        }
        Ok(plans)
    }

    /// What is proved of a table, with its ledger where that is what proves it.
    fn find(
        &self,
        site: &Site,
        table: &FlowTable,
    ) -> Result<std::result::Result<(Pair, Option<Ledger>), Reason>> {
        let assembly = &self.engine.assembly;
        if self.tier == Tier::Scan {
            let found = Pair::find(assembly, self.flow, &self.identity, site, table)?;
            return Ok(found.map(|pair| (pair, None)));
        }
        let of = (site, table);
        let stored = match self.engine.ledgers.of(assembly, self.flow, &self.identity, of)? {
            Ok(stored) => stored,
            Err(why) => return Ok(Err(Reason::NoLedger(why))),
        };
        // The columns that it was folded under, so that the source need not be asked.
        let schema = Arc::new(stored.schema);
        match subject(assembly, self.flow, &self.identity, site, table, schema) {
            Ok(subject) => {
                let pair = Pair { site: site.clone(), subject };
                Ok(Ok((pair, Some(stored.ledger))))
            }
            Err(e) if e.kind == Kind::Unavailable => Ok(Err(Reason::Unavailable(e.to_string()))),
            Err(e) if e.kind == Kind::Invalid => Ok(Err(Reason::Unsupported(e.to_string()))),
            Err(e) => Err(e),
        }
    }

    /// Proves one table; `done` rows were compared before.
    fn prove(
        &self,
        pair: &Pair,
        ledger: Option<&Ledger>,
        motion: &mut dyn Motion,
        done: u64,
    ) -> Result<TableProof> {
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
            settings: Settings::default(),
        };
        let (source, target_settings) = (&pair.site.settings, target.settings.as_target());
        let mut around = Around {
            assembly,
            identity: &self.identity,
            site: &pair.site,
            subject: &pair.subject,
            source: Opened::new(assembly.connectors.of(source)?, source),
            target: Opened::new(assembly.connectors.of(&target.settings)?, &target_settings),
            motion,
            watch: self.watch,
            done,
        };
        let Some(ledger) = ledger else {
            return self.scan(&prover, pair, &mut around);
        };
        let (proof, correction) = prover.prove_by_ledger(&pair.subject, ledger, &mut around)?;
        let table = pair.subject.path.target().name.clone();
        let name = LedgerName { flow: self.identity.id, lane: pair.subject.lane, table };
        self.engine.ledgers.correct(assembly, &name, &correction)?;
        Ok(proof)
    }

    /// Proves a table source against target. One without a ledger gets one of what was read.
    fn scan(
        &self,
        prover: &Prover<'_>,
        pair: &Pair,
        around: &mut Around<'_>,
    ) -> Result<TableProof> {
        let (assembly, path) = (&self.engine.assembly, &pair.subject.path);
        let table = self.flow.tables.iter().find(|t| t.source == path.source_table());
        let of = table.map(|table| (&pair.site, table));
        match of {
            Some(of) if lacks(assembly, self.flow, &self.identity, of)? => {
                let (proof, seed) = prover.prove_and_seed(&pair.subject, around)?;
                let what = (path.source_schema().as_ref(), seed.as_slice());
                self.engine.ledgers.seed(assembly, self.flow, &self.identity, of, what)?;
                Ok(proof)
            }
            _ => prover.prove(&pair.subject, around),
        }
    }

    /// Chains a certificate to the flow's newest one; gives its number.
    fn certify(
        &self,
        subject: &Subject,
        proof: &TableProof,
        mended: Option<Mended>,
    ) -> Result<i64> {
        let assembly = &self.engine.assembly;
        let about = About { mended, ..About::of(subject, assembly.digest_key) };
        Ok(certify(&assembly.state, &self.identity, proof, &about)?.number)
    }

    /// A table that could not even be looked at is unproven, with a certificate that says why; gives its number too.
    fn unseen(&self, site: &Site, table: &FlowTable, reason: Reason) -> Result<(TableProof, i64)> {
        let assembly = &self.engine.assembly;
        let now = assembly.environment.clock.now();
        let proof = TableProof::unseen(&site.name, &table.source, &table.target, reason, now);
        let proof = TableProof { tier: self.tier, ..proof };
        let about = About {
            flow_name: &self.flow.name,
            flow: self.identity.id,
            generation: self.identity.generation,
            lane: assembly.state.lane(&site.name)?.map(|lane| lane.id),
            path: None,
            writer: writer_of(self.flow),
            excluded: &[],
            key: assembly.digest_key,
            previous: None,
            mended: None,
        };
        let certificate = certify(&assembly.state, &self.identity, &proof, &about)?;
        Ok((proof, certificate.number))
    }

    /// Mends what was found, if all of it together stays within the limits, and proves again what was touched.
    fn mend(
        &self,
        limits: &Limits,
        plans: Vec<Planned>,
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
        for Planned { pair, ledger, plan, found_by } in plans {
            let asked = plan.changes;
            let (repaired, dropped) = self.place(&pair, plan, motion)?;
            outcome.repaired += repaired;
            outcome.dropped += dropped;
            let proof = self.prove(&pair, ledger.as_ref(), motion, done)?;
            done += proof.rows;
            let mended = Mended { found_by, asked, repaired, dropped };
            outcome.certificates.push(self.certify(&pair.subject, &proof, Some(mended))?);
            outcome.after.push(proof);
        }
        Ok(())
    }

    /// Tells the audit log of repairs before the first of them is written.
    fn note_repair(&self, plans: &[Planned]) -> Result<()> {
        let rows: u64 = plans.iter().map(|planned| planned.plan.changes).sum();
        let detail = format!("flow {}: {rows} rows", self.flow.name);
        let at = self.engine.assembly.environment.clock.now();
        self.engine.assembly.state.audit(Act { at, what: "repair", detail })
    }

    /// Hands one table's repairs to the applier, and what the log lacks to the capture; gives how many rows were
    /// mended, and how many left alone.
    fn place(&self, pair: &Pair, plan: RepairPlan, motion: &mut dyn Motion) -> Result<(u64, u64)> {
        let (mut repaired, mut dropped) = (0, 0);
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
            repaired += mended.repaired;
            dropped += mended.dropped;
        }
        if !plan.recapture.is_empty() {
            repaired += plan.recapture.len() as u64;
            let table = pair.subject.path.source_table().to_string();
            let order = CaptureOrder::Keys { table, keys: plan.recapture };
            self.engine.orders.place(&pair.site.name, order);
        }
        Ok((repaired, dropped))
    }
}

/// All plans as one, for the limits: they are of the flow, not of each table.
fn together(plans: &[Planned]) -> RepairPlan {
    RepairPlan {
        lots: Vec::new(),
        recapture: Vec::new(),
        by_hand: Vec::new(),
        changes: plans.iter().map(|planned| planned.plan.changes).sum(),
        systematic: plans.iter().find_map(|planned| planned.plan.systematic.clone()),
    }
}
