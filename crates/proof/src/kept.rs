//! Confirmed findings, as many as are listed, fairly over what is wrong with them.
//!
//! A fault that all rows share must not push a rare one off the list: when the list is full, the commonest fault gives
//! way to a rarer one.

use crate::compare::{Finding, changed};
use crate::subject::RowPath;
use std::collections::BTreeMap;

/// What is wrong with a row at first sight: where it is, and in which columns it differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Missing,
    Extra,
    Changed(Vec<String>),
}

/// A bounded list of findings.
pub(crate) struct Kept {
    most: usize,
    held: usize,
    by_fault: BTreeMap<Fault, Vec<Finding>>,
}

impl Kept {
    /// An empty list of at most so many.
    pub(crate) fn new(most: usize) -> Self {
        Kept { most, held: 0, by_fault: BTreeMap::new() }
    }

    /// Adds a finding; says how many rows are not listed for that, none or one.
    pub(crate) fn add(&mut self, finding: Finding, path: &RowPath) -> u64 {
        let fault = match (&finding.expected, &finding.found) {
            (Some(expected), Some(found)) => Fault::Changed(changed(expected, found, path)),
            (Some(_), None) => Fault::Missing,
            (None, _) => Fault::Extra,
        };
        let same = self.by_fault.get(&fault).map_or(0, Vec::len);
        if self.held >= self.most {
            let commonest = self.by_fault.values_mut().max_by_key(|list| list.len());
            let Some(commonest) = commonest.filter(|list| list.len() > same + 1) else { return 1 };
            commonest.pop();
            self.held -= 1;
            self.by_fault.entry(fault).or_default().push(finding);
            self.held += 1;
            return 1;
        }
        self.by_fault.entry(fault).or_default().push(finding);
        self.held += 1;
        0
    }

    /// The findings, by key.
    pub(crate) fn into_list(self) -> Vec<Finding> {
        let mut list: Vec<Finding> = self.by_fault.into_values().flatten().collect();
        list.sort_by(|a, b| connect::key_order::compare(&a.key, &b.key));
        list
    }
}
