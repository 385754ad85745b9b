//! What can be typed behind `certificate`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum Certificates {
    /// What was proved of each table, the worst first.
    List {
        /// The flow; all without it.
        flow: Option<String>,
        /// All certificates ever made, the newest first.
        #[arg(long)]
        all: bool,
    },
    /// One certificate.
    Show {
        /// `FLOW/NUMBER`, or `FLOW` for its newest one.
        certificate: String,
        /// Write it as a page for a browser or a printer; the file must not be there yet.
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Whether certificates are what was sealed and none is missing; names the first that is not. Needs no site and no
    /// engine, and no project where a file is named.
    Verify(Verify),
    /// Writes certificates into a file that can be verified anywhere.
    Export {
        /// The flow; all without it.
        flow: Option<String>,
        /// The file; it must not be there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Only those behind this number.
        #[arg(long, value_name = "NUMBER", requires = "flow")]
        after: Option<i64>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A file (with a `/` in its name), a flow, or `all`.
    #[arg(value_name = "FILE|FLOW|all", default_value = "all")]
    pub(crate) what: String,
    /// A head that was kept elsewhere: it must be in the chain.
    #[arg(long, value_name = "NUMBER:HASH")]
    pub(crate) head: Vec<String>,
    /// The head that the file's part of the chain begins behind.
    #[arg(long, value_name = "NUMBER:HASH")]
    pub(crate) after: Option<String>,
}
