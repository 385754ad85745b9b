//! What can be typed. Meaning is given to it in `commands`.

mod certificates;

pub(crate) use certificates::{Certificates, Verify};

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Moves data between the sites of a company, and proves that it arrived.
#[derive(Debug, Parser)]
#[command(name = "seamount", version, disable_help_subcommand = true)]
pub(crate) struct Typed {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The project's folder.
    #[arg(short = 'C', long = "directory", value_name = "DIR", default_value = ".", global = true)]
    pub(crate) directory: PathBuf,
    /// One JSON object a line; the first names the format.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Only the summary.
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// No colours, whatever the terminal can do.
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// Take a target over from the engine that holds it, if need be.
    #[arg(long, global = true)]
    pub(crate) take_over: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Builds stores and a centre in a scratch folder, moves data, breaks things, proves the end.
    Demo(Demo),
    /// Writes a project, and a flow for each table of a database.
    Init(Init),
    /// Sites: list, test, discover, grants.
    Sites {
        #[command(subcommand)]
        what: Option<Sites>,
    },
    /// Reads the project's files and says everything that is wrong with them.
    Check {
        /// Ask the sites too.
        #[arg(long)]
        online: bool,
    },
    /// What would be created or changed at each site, and the next runs.
    Plan {
        /// Exit with 2 when there is something to change.
        #[arg(long)]
        detailed_exitcode: bool,
    },
    /// Runs flows: all as a service, or one of them once.
    Run(Run),
    /// Runs of batch flows: list, show.
    Runs {
        #[command(subcommand)]
        what: Option<Runs>,
    },
    /// How every flow stands, the worst first.
    Status {
        /// Only this flow.
        flow: Option<String>,
    },
    /// Differences between target and source, side by side.
    Diff(Diff),
    /// Proves target against source; repairs where asked.
    Reconcile(Reconcile),
    /// Certificates: list, show, verify, export.
    Certificate {
        #[command(subcommand)]
        what: Certificates,
    },
    /// Dead letters: list, show, replay, discard.
    Dlq {
        #[command(subcommand)]
        what: Letters,
    },
    /// A new snapshot of everything a flow moves: the way out of a lost position, a changed history, a changed shape.
    Resync {
        /// The flow.
        flow: String,
    },
    /// History again, into a table of its own.
    Replay(Replay),
    /// Pauses a flow: nothing is applied, changes wait in the log.
    Pause {
        /// The flow.
        flow: String,
    },
    /// Resumes a paused flow.
    Resume {
        /// The flow.
        flow: String,
    },
    /// What was done here and by whom: list, verify, head.
    Audit {
        #[command(subcommand)]
        what: Audit,
    },
    /// What a code means.
    Explain {
        /// The code: E0412.
        code: Option<String>,
    },
    /// The version.
    Version,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the folder for a look.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Read this site: `sqlite:shop.db`.
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// Write this site: `sqlite:central.db`.
    #[arg(long)]
    pub(crate) to: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Sites {
    /// All sites and groups.
    List,
    /// Whether a site can be reached, read and captured; all sites without a name.
    Test {
        /// The site.
        site: Option<String>,
    },
    /// The tables of a site.
    Discover {
        /// The site.
        site: String,
    },
    /// Statements that give a site's login the least it needs; for the site's owner to carry out.
    Grants {
        /// The site.
        site: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The flow; without it all run, as a service.
    pub(crate) flow: Option<String>,
    /// One batch, or drain to now; then end.
    #[arg(long)]
    pub(crate) once: bool,
    /// The interval to run, for a batch flow; it is run again even if it was published.
    #[arg(long, requires = "once")]
    pub(crate) interval: Option<String>,
    /// Exit with 99 when there was nothing to do.
    #[arg(long)]
    pub(crate) skip_code: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Runs {
    /// Runs of a flow, or of all, newest first.
    List {
        /// The flow.
        flow: Option<String>,
        /// Most runs.
        #[arg(long, default_value_t = 20)]
        most: usize,
    },
    /// One run.
    Show {
        /// Its id.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The flow.
    pub(crate) flow: String,
    /// Most rows shown.
    #[arg(long, default_value_t = 50)]
    pub(crate) most: usize,
}

#[derive(Debug, Args)]
pub(crate) struct Reconcile {
    /// The flow.
    pub(crate) flow: String,
    /// `scan` reads both sides; `ledger` reads the target alone and compares it with what the log says.
    #[arg(long, value_enum, default_value_t = Tier::Scan)]
    pub(crate) tier: Tier,
    /// Mend what differs.
    #[arg(long)]
    pub(crate) repair: bool,
    /// Most rows to mend; the flow's own limit, or 10,000, without it.
    #[arg(long, requires = "repair")]
    pub(crate) max_rows: Option<u64>,
    /// Largest share of rows to mend, in percent; the flow's own limit, or 0.1, without it.
    #[arg(long, requires = "repair", value_name = "PERCENT")]
    pub(crate) max_share: Option<f64>,
    /// Most differences listed.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) most: usize,
}

/// What a proof compares the target with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tier {
    /// The source, and the log between the cuts.
    Scan,
    /// The ledger of the log: costs the source nothing, and does not see what never came to the log.
    Ledger,
}

impl From<Tier> for proof::Tier {
    fn from(tier: Tier) -> Self {
        match tier {
            Tier::Scan => proof::Tier::Scan,
            Tier::Ledger => proof::Tier::Ledger,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// What was done, oldest first.
    List {
        /// Most entries, the newest ones.
        #[arg(long, default_value_t = 100)]
        most: usize,
    },
    /// Whether the record is whole; names the first entry that is not what was written.
    Verify {
        /// A head that was kept elsewhere, as `audit head` said it.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
    /// Number and hash of the newest entry, to be kept where nobody here can change it.
    Head,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Letters {
    /// Letters that wait.
    List {
        /// The flow.
        flow: String,
        /// Settled ones too.
        #[arg(long)]
        all: bool,
    },
    /// One letter, with its row.
    Show {
        /// The flow.
        flow: String,
        /// Its number.
        id: i64,
    },
    /// Applies letters again, in their order by key.
    Replay {
        /// The flow.
        flow: String,
        /// Numbers; all that wait without them.
        ids: Vec<i64>,
    },
    /// Gives letters up: their changes will never be applied.
    Discard {
        /// The flow.
        flow: String,
        /// Numbers.
        #[arg(required = true)]
        ids: Vec<i64>,
        /// Why.
        #[arg(long)]
        because: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The flow.
    pub(crate) flow: String,
    /// The table that gets the history.
    #[arg(long, value_name = "TABLE")]
    pub(crate) into: String,
    /// Changes from this time on (`2026-11-24T02:00:00Z`); without it, from the snapshot on.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Option<String>,
    /// Changes before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<String>,
}
