//! The 38 countries, each a site: what the project's `countries.csv` says.

use anyhow::{Context, Result};

/// The list, as Seamount reads it too.
pub(crate) const LIST: &str = include_str!("../project/countries.csv");

/// One country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Country {
    /// Name of its database, without `.db`.
    pub(crate) file: String,
    /// What it is called in the rows.
    pub(crate) name: String,
}

/// All of them, in the order of the list: most rows first.
///
/// # Errors
/// The list does not read.
pub(crate) fn all() -> Result<Vec<Country>> {
    let mut reader = csv::Reader::from_reader(LIST.as_bytes());
    reader
        .records()
        .map(|record| {
            let record = record.context("countries.csv")?;
            let cell = |place| record.get(place).map(String::from).context("countries.csv: a cell");
            Ok(Country { file: cell(1)?, name: cell(2)? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_thirty_eight_with_files_of_their_own() {
        let all = all().unwrap();
        assert_eq!(all.len(), 38);
        let files: BTreeSet<&str> = all.iter().map(|c| c.file.as_str()).collect();
        let names: BTreeSet<&str> = all.iter().map(|c| c.name.as_str()).collect();
        assert_eq!((files.len(), names.len()), (38, 38));
        assert!(names.contains("United Kingdom") && names.contains("EIRE"));
    }
}
