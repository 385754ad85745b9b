//! The project of the simulated world: its flows, as they are declared now.

use crate::world::faulty::CENTRAL;
use crate::world::plan::{Feature, Plan};
use connect::{Load, SiteSettings};
use flow::{
    Batch, CatchUp, DeadLetter, Events, Flow, FlowTable, From, LogSettings, Mode, NewColumns,
    Project, Reconcile, Site, TransactionMode, Writer,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The flows of a seed.
#[derive(Clone)]
pub struct Definitions {
    /// Sites.
    pub sites: Vec<String>,
    /// Flows.
    pub flows: Vec<Flow>,
}

impl Definitions {
    /// What a plan declares: `books` over both tables, perhaps `copy` of one, perhaps the batch flow `nightly`.
    pub fn of(plan: &Plan) -> Definitions {
        let both = [("account", "account"), ("mirror", "mirror")];
        let mut flows = vec![flow_of("books", &plan.sites, &both)];
        if plan.has(Feature::SecondFlow) {
            let mut copy = flow_of("copy", &plan.sites, &[("account", "account_copy")]);
            if plan.has(Feature::Exact) {
                copy.events.transactions = TransactionMode::Exact;
            }
            flows.push(copy);
        }
        if plan.has(Feature::Batch) {
            let into = [("account", "nightly_account"), ("mirror", "nightly_mirror")];
            let mut nightly = flow_of("nightly", &plan.sites, &into);
            nightly.mode = Mode::Batch;
            flows.push(nightly);
        }
        Definitions { sites: plan.sites.clone(), flows }
    }

    /// A flow.
    pub fn flow(&self, name: &str) -> &Flow {
        self.flows.iter().find(|flow| flow.name == name).expect("flows are named by the world")
    }

    /// A flow, to be changed.
    pub fn flow_mut(&mut self, name: &str) -> &mut Flow {
        let found = self.flows.iter_mut().find(|flow| flow.name == name);
        found.expect("flows are named by the world")
    }

    /// The checked project.
    pub fn project(&self, folder: &Path) -> Project {
        let names = self.sites.iter().cloned().chain([CENTRAL.to_string()]);
        Project {
            name: "world".into(),
            root: folder.to_path_buf(),
            log: LogSettings { keep: None, max_bytes: None },
            sites: names.map(|name| (name.clone(), site_of(name))).collect(),
            groups: BTreeMap::new(),
            flows: self.flows.clone(),
        }
    }
}

fn site_of(name: String) -> Site {
    let settings = SiteSettings {
        site: name.clone(),
        url: "memory:".into(),
        root: PathBuf::new(),
        options: BTreeMap::new(),
        masks: Default::default(),
    };
    Site { name, settings, group: None, timezone: None, region: None }
}

fn flow_of(name: &str, sites: &[String], tables: &[(&str, &str)]) -> Flow {
    let table = |(source, target): &(&str, &str)| FlowTable {
        source: source.to_string(),
        target: target.to_string(),
        key: None,
    };
    Flow {
        name: name.into(),
        mode: Mode::Event,
        about: None,
        file: PathBuf::from(format!("flows/{name}.toml")),
        sites: sites.to_vec(),
        from: From::Tables,
        target: CENTRAL.into(),
        tables: tables.iter().map(table).collect(),
        site_column: (sites.len() > 1).then(|| "site".to_string()),
        owner: None,
        writer: Writer::Flow,
        transform: None,
        new_columns: NewColumns::Add,
        events: Events {
            max_lag: Duration::from_secs(30),
            transactions: TransactionMode::Coalesce,
            dead_letter: DeadLetter { after: 2, stop_at: 1.0 },
        },
        batch: Batch {
            schedule: None,
            timezone: "UTC".into(),
            window: None,
            load: Load::Replace,
            interval_by: None,
            after: Vec::new(),
            checks: Vec::new(),
            zero_rows: true,
            catch_up: CatchUp::Latest,
        },
        reconcile: Reconcile { schedule: None, timezone: "UTC".into(), repair: None },
        max_staleness: None,
    }
}
