//! What is said of a chain of certificates that is not what was sealed: where, and what that means.

use connect::Error;
use proof::{CertificateFault, LinkFault};
use serde_json::{Value, json};

/// A chain that is not what was sealed.
pub(crate) struct Broken {
    name: String,
    number: Option<i64>,
    line: Option<usize>,
    field: Option<String>,
    what: String,
    effect: String,
}

impl Broken {
    /// The chain of `name`, broken at a fault.
    pub(super) fn of(name: &str, fault: &CertificateFault) -> Broken {
        let before = match fault.index {
            0 => "nothing stands before it".into(),
            1 => "the certificate before it stands".into(),
            n => format!("the {n} certificates before it stand"),
        };
        let means = match &fault.link {
            Some(LinkFault::CutOff { .. }) => {
                "proofs that were made are missing at the end: what they said, EQUAL or not, is not known"
            }
            Some(LinkFault::NotInPlace { .. }) => {
                "a proof that was made is missing or stands elsewhere: what it said is not known"
            }
            Some(LinkFault::Forked(_)) => {
                "somebody who knows how has written it anew: it proves nothing, nor do those behind it"
            }
            Some(LinkFault::Unchained(_)) => {
                "it does not belong to this chain, or the one before it is another than it was"
            }
            Some(LinkFault::Changed(_)) | None => {
                "what it says is not what was found out then: it proves nothing, nor do those behind it"
            }
        };
        Broken {
            name: name.into(),
            number: fault.number,
            line: fault.line.map(|line| fault.lines_before + line),
            field: fault.field.clone(),
            what: fault.to_string(),
            effect: format!("{means}; {before}"),
        }
    }

    /// What an operator reads.
    pub(crate) fn error(&self) -> Error {
        not_sealed(format!("the certificates of {} are not what was sealed", self.name), &self.what)
            .effect(self.effect.clone())
    }

    /// Where it is broken.
    pub(super) fn what(&self) -> &str {
        &self.what
    }

    /// The line that ends the command.
    pub(crate) fn summary(&self) -> String {
        format!("{}: the chain is broken: {}", self.name, self.what)
    }

    /// What programs read of that line.
    pub(crate) fn fields(&self) -> [(&'static str, Value); 4] {
        [
            ("broken", json!(self.name)),
            ("first_bad", json!(self.number)),
            ("line", json!(self.line)),
            ("field", json!(self.field)),
        ]
    }
}

/// The error of one certificate that cannot be read.
pub(super) fn damaged(name: &str, found: &str) -> Error {
    not_sealed(format!("certificate {name} is not what was sealed"), found)
        .effect("it proves nothing, nor do those behind it")
}

fn not_sealed(what: String, found: &str) -> Error {
    Error::corrupt(what)
        .found(found)
        .fix("compare with an export or a head that was kept elsewhere; find who can write it; prove again: seamount reconcile FLOW")
        .code("E0523")
}
