//! What becomes of a proof: the next link of its flow's chain, whose head stands in the audit log too.
//!
//! The chain alone does not tell that its newest links were taken away; the audit log does, since each link's head is
//! an entry there, and the audit log's own heads lie in a second file. Here that entry is written and read.

use crate::audit::{Act, AuditEntry};
use crate::state::{FlowIdentity, State, StoredCertificate};
use change::FlowId;
use connect::{Error, Result};
use proof::{About, Certificate, Head, Linked, TableProof};
use std::collections::BTreeMap;

/// What entries of the audit log that tell of a certificate are called.
pub(crate) const ACT: &str = "certificate";

/// The entry that tells of a certificate: `stock EQUAL, head 3:HASH, flow id 17`.
pub(crate) fn act(flow: FlowId, certificate: &Certificate) -> Act {
    let Certificate { flow: name, verdict, ended_at, .. } = certificate;
    let detail = format!("{name} {verdict}, head {}, flow id {flow}", certificate.head());
    Act { at: *ended_at, what: ACT, detail }
}

/// The heads of certificates that the audit log tells of, by flow, oldest first.
pub fn certified(entries: &[AuditEntry]) -> BTreeMap<FlowId, Vec<Head>> {
    let mut heads = BTreeMap::<FlowId, Vec<Head>>::new();
    for entry in entries.iter().filter(|entry| entry.what == ACT) {
        if let Some((flow, head)) = told(&entry.detail) {
            heads.entry(flow).or_default().push(head);
        }
    }
    heads
}

/// Read from behind: a flow's name may hold anything.
fn told(detail: &str) -> Option<(FlowId, Head)> {
    let (rest, flow) = detail.rsplit_once(", flow id ")?;
    let flow = i64::from_str_radix(flow, 16).ok()?;
    let (_, head) = rest.rsplit_once(", head ")?;
    Some((FlowId::from_i64(flow), Head::parse(head)?))
}

/// Seals a proof as the link behind the flow's newest one, and stores it. `about` says everything but that link.
///
/// # Errors
/// As [`previous`]; the state file cannot be written.
pub(crate) fn certify(
    state: &State,
    identity: &FlowIdentity,
    proof: &TableProof,
    about: &About<'_>,
) -> Result<Certificate> {
    state.chain_certificate(identity.id, |previous| {
        Certificate::seal(proof, &About { previous, ..about.clone() })
    })
}

/// The link that the next one is chained to: the one that the audit log told of last. Where it is damaged or gone, the
/// next one is chained to it all the same: proofs go on, and the chain shows for ever what is missing.
///
/// # Errors
/// `Corrupt` when nothing but the newest certificate could tell its head, and it is not what was sealed.
pub(crate) fn previous(
    told_last: Option<&str>,
    newest: Option<&StoredCertificate>,
) -> Result<Option<Head>> {
    if let Some((_, head)) = told_last.and_then(told) {
        return Ok(Some(head));
    }
    // Behind a format that is no more, a new chain begins.
    let newest = newest.filter(|stored| !proof::is_of_older_format(&stored.body));
    let Some(stored) = newest else { return Ok(None) };
    let head = proof::head_of(&stored.body).ok_or_else(|| {
        Error::corrupt(format!("the newest certificate of flow id {} is damaged", stored.flow))
            .found("its hash does not fit, and the audit log does not tell of it")
            .effect("no new certificate is chained to it")
            .fix("seamount certificate verify all")
            .code("E0514")
    })?;
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(what: &str, detail: &str) -> AuditEntry {
        let act = Act { at: 1, what: "certificate", detail: detail.into() };
        let mut entry = AuditEntry::chained(None, "ada@hub", "seamount", act);
        entry.what = what.into();
        entry
    }

    /// A flow's name is chosen by whoever writes the files: it must not speak for another flow's certificates.
    #[test]
    fn heads_are_told_of_the_own_flow_alone() {
        let (own, other) = (FlowId::mint(17), FlowId::mint(18));
        let hash = "ab".repeat(32);
        let detail =
            |name: &str, flow: FlowId| format!("{name} EQUAL, head 3:{hash}, flow id {flow}");
        let entries = [
            entry("certificate", &detail("stock", own)),
            entry("certificate", &detail("stock", other)),
            entry("run", &detail("stock", own)),
            entry("certificate", &detail(&format!("x, head 9:{hash}, flow id {own}"), other)),
            entry("certificate", &format!("number 3, EQUAL, flow id {own}, content {hash}")),
        ];
        let head = Head { number: 3, hash };
        let heads = certified(&entries);
        assert_eq!(heads[&own], std::slice::from_ref(&head));
        assert_eq!(heads[&other], [head.clone(), head]);
    }
}
