//! `certificate verify`: certificates in a file, or in the state beside the heads that the audit log keeps.
//!
//! Of a damaged chain it says which certificate, which line of it, and what that means. A check over nothing says so,
//! and is no success.

use super::broken::Broken;
use crate::args::{Global, Verify};
use crate::assemble::{heads_file, project, state_to_read};
use crate::exit::{DONE, FAILED, Failure, UNPROVEN};
use crate::output::Output;
use crate::time::counted;
use change::FlowId;
use connect::Error;
use engine::{AuditEntry, State, StoredCertificate, certified, kept_heads, verify_audit};
use flow::Project;
use proof::{Head, Linked, Piece, split};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) fn run(global: &Global, what: &Verify, output: &Output) -> Result<u8, Failure> {
    let mut heads = Vec::new();
    for text in &what.head {
        heads.push(head(text)?);
    }
    let after = what.after.as_deref().map(head).transpose()?;
    if is_file(&what.what) {
        return file(Path::new(&what.what), after.as_ref(), &heads, output);
    }
    if after.is_some() {
        return Err(Failure::Usage("--after goes with a file: a stored chain is whole".into()));
    }
    let project = project(global, output)?;
    stored(&project, &what.what, &heads, output)
}

/// Whether a word names a file: flows have no `/` in their names.
fn is_file(what: &str) -> bool {
    what.contains(['/', std::path::MAIN_SEPARATOR])
}

fn head(text: &str) -> Result<Head, Failure> {
    let wrong = || format!("{text} is no head: NUMBER:HASH, as certificate verify says it");
    Head::parse(text).ok_or_else(|| Failure::Usage(wrong()))
}

/// Certificates in a file, with nothing else at hand.
fn file(path: &Path, after: Option<&Head>, heads: &[Head], output: &Output) -> Result<u8, Failure> {
    let unreadable = |e: std::io::Error| {
        Error::invalid(format!("{} cannot be read", path.display())).found(e.to_string())
    };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let name = path.display().to_string();
    let pieces = split(&bytes);
    Ok(match proof::verify(&pieces, after, heads) {
        Ok(all) if all.is_empty() => nothing(&format!("{name} holds no certificate"), output),
        Ok(all) => {
            let mut chains: BTreeMap<&str, Head> = BTreeMap::new();
            for certificate in &all {
                chains.insert(&certificate.flow, certificate.head());
            }
            for (flow, newest) in &chains {
                output.line(&format!("{flow}: newest {newest}"));
                output
                    .object(&json!({ "type": "chain", "flow": flow, "head": newest.to_string() }));
            }
            let head = chains.values().next().filter(|_| chains.len() == 1);
            whole(&name, all.len(), head, output)
        }
        Err(fault) => {
            let broken = Broken::of(&name, &fault);
            output.error(&broken.error());
            output.summary(&broken.summary(), &broken.fields());
            FAILED
        }
    })
}

fn whole(name: &str, number: usize, head: Option<&Head>, output: &Output) -> u8 {
    let head = head.map(ToString::to_string);
    let certificates = counted(number as u64, "certificate");
    let newest = head.as_ref().map(|head| format!(", newest {head}")).unwrap_or_default();
    let text = format!("{name}: {certificates} in an unbroken chain{newest}");
    output.summary(&text, &[("certificates", json!(number)), ("head", json!(head))]);
    DONE
}

fn nothing(what: &str, output: &Output) -> u8 {
    output.summary(&format!("UNPROVEN: {what}"), &[("certificates", json!(0))]);
    UNPROVEN
}

/// Certificates in the state of a project: of one flow, or of all.
fn stored(project: &Project, what: &str, heads: &[Head], output: &Output) -> Result<u8, Failure> {
    let wanted = match what {
        "all" => None,
        name => Some(super::super::flow_of(project, name)?.name.as_str()),
    };
    if wanted.is_none() && !heads.is_empty() {
        return Err(Failure::Usage("--head goes with one flow, whose chain it is of".into()));
    }
    let Some(state) = state_to_read(project)? else {
        return Ok(nothing("nothing was ever proved here", output));
    };
    let entries = state.audit_entries()?;
    // What is missing at the end of a chain is known from the audit log alone.
    if let Err(fault) = verify_audit(&entries, &kept_heads(&heads_file(project))?) {
        let error = super::super::audit::broken(&fault)
            .effect("whether certificates were taken away cannot be told from it");
        output.error(&error);
        output.summary("the audit log that keeps the heads of certificates is broken", &[]);
        return Ok(FAILED);
    }
    let flow = match wanted {
        Some(name) => match state.flow(name)? {
            Some(identity) => Some(identity.id),
            None => return Ok(nothing(&format!("{name} was never proved"), output)),
        },
        None => None,
    };
    let chains = chains(project, &state, &entries, Wanted { flow, heads })?;
    Ok(told(what, &chains, output))
}

/// Which chains are verified, and beside which heads that were kept elsewhere.
#[derive(Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    flow: Option<FlowId>,
    heads: &'a [Head],
}

/// What was found out about the chain of one flow.
pub(crate) struct Chain {
    flow: String,
    number: usize,
    /// Certificates of an older format, which are not looked at.
    older: usize,
    head: Option<Head>,
    broken: Option<Broken>,
}

impl Chain {
    /// What is wrong with it.
    pub(crate) fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }
}

/// Verifies the chain of one flow, or of all that were ever certified, the broken ones first.
pub(crate) fn chains(
    project: &Project,
    state: &State,
    entries: &[AuditEntry],
    wanted: Wanted<'_>,
) -> Result<Vec<Chain>, Failure> {
    let kept = certified(entries);
    let mut flows: BTreeMap<FlowId, Vec<StoredCertificate>> = BTreeMap::new();
    // A flow of which nothing is left but the heads is looked at, too.
    for flow in kept.keys().copied().chain(wanted.flow) {
        flows.insert(flow, Vec::new());
    }
    for stored in state.certificates(wanted.flow)? {
        flows.entry(stored.flow).or_default().push(stored);
    }
    flows.retain(|flow, _| wanted.flow.is_none_or(|wanted| wanted == *flow));
    let mut names = BTreeMap::new();
    for flow in &project.flows {
        names.extend(state.flow(&flow.name)?.map(|identity| (identity.id, flow.name.clone())));
    }
    let mut found = Vec::new();
    for (flow, chain) in flows {
        let mut heads = kept.get(&flow).cloned().unwrap_or_default();
        heads.extend_from_slice(wanted.heads);
        let name = names.remove(&flow).unwrap_or_else(|| format!("flow id {flow}"));
        found.push(verified(name, &chain, &heads));
    }
    found.sort_by_key(|chain| chain.broken.is_none());
    Ok(found)
}

fn verified(flow: String, stored: &[StoredCertificate], kept: &[Head]) -> Chain {
    let older = stored.iter().take_while(|s| proof::is_of_older_format(&s.body)).count();
    let pieces: Vec<Piece<'_>> =
        stored[older..].iter().map(|s| Piece { bytes: &s.body, lines_before: 0 }).collect();
    let (number, head, broken) = match proof::verify(&pieces, None, kept) {
        Ok(all) => (all.len(), all.last().map(Linked::head), None),
        Err(fault) => (pieces.len(), None, Some(Broken::of(&flow, &fault))),
    };
    Chain { flow, number, older, head, broken }
}

fn told(what: &str, chains: &[Chain], output: &Output) -> u8 {
    for chain in chains {
        match &chain.broken {
            Some(broken) => output.error(&broken.error()),
            None => {
                let head = chain.head.as_ref().map_or("-".into(), ToString::to_string);
                let certificates = counted(chain.number as u64, "certificate");
                output.line(&format!("{}: {certificates}, newest {head}", chain.flow));
            }
        }
        if chain.older > 0 {
            let older = counted(chain.older as u64, "certificate");
            output.talk(&format!(
                "{}: {older} of an older format, which this version does not verify",
                chain.flow
            ));
        }
        let broken = chain.broken.as_ref();
        output.object(&json!({
            "type": "chain", "flow": chain.flow, "certificates": chain.number, "older": chain.older,
            "head": chain.head.as_ref().map(ToString::to_string),
            "broken": broken.map(Broken::what),
        }));
    }
    if let Some(broken) = chains.iter().find_map(Chain::broken) {
        output.summary(&broken.summary(), &broken.fields());
        return FAILED;
    }
    match chains.iter().map(|chain| chain.number).sum() {
        0 => nothing(&format!("{what}: there is no certificate"), output),
        number => {
            let head = chains.first().filter(|_| chains.len() == 1);
            whole(what, number, head.and_then(|chain| chain.head.as_ref()), output)
        }
    }
}
