//! Databases of PostgreSQL for tests: each test has one of its own, in a server that all share.

use connect::SiteSettings;
use servers::Cluster;
use std::collections::BTreeMap;

/// A database.
pub(crate) struct Database {
    pub(crate) cluster: &'static Cluster,
    pub(crate) name: String,
}

impl Database {
    /// A new, empty one.
    pub(crate) fn new() -> Database {
        let cluster = Cluster::shared();
        Database { cluster, name: cluster.database() }
    }

    /// Carries statements out; returns what they print.
    pub(crate) fn sql(&self, statements: &str) -> String {
        self.cluster.sql(&self.name, statements)
    }

    /// The site's settings.
    pub(crate) fn settings(&self) -> SiteSettings {
        self.settings_with(&[])
    }

    /// The site's settings with options.
    pub(crate) fn settings_with(&self, options: &[(&str, &str)]) -> SiteSettings {
        let options = options.iter().map(|(name, value)| (name.to_string(), (*value).into()));
        SiteSettings {
            site: "till".into(),
            url: self.cluster.url(&self.name).into(),
            root: Default::default(),
            options: options.collect::<BTreeMap<_, _>>(),
            masks: Default::default(),
        }
    }
}
