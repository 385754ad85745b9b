//! E02: sites, groups and secrets.

use super::{Entry, Example};

pub(super) const ENTRIES: &[Entry] = &[
    Entry {
        code: "E0201",
        title: "unknown site or group",
        text: "A flow names a site that sites.toml does not have. Nothing of this flow is moved, not even from the\n\
               other sites it names: part of the stores would look like all of them.",
        example: Example::Files(&[(
            "flows/prices.toml",
            "mode = \"event\"\n[from]\nsites = \"pariss\"\ntable = \"prices\"\n[to]\nsite = \"central\"\n",
        )]),
    },
    Entry {
        code: "E0202",
        title: "two sites of one name",
        text: "Names of sites are unique over sites.toml and all lists, because rows, progress and certificates carry\n\
               them. Two places under one name would count as one.",
        example: Example::Files(&[("stores.csv", "site,host\nparis,10.0.0.1\nparis,10.0.0.2\n")]),
    },
    Entry {
        code: "E0203",
        title: "a url of unknown kind",
        text: "The part of the url before the first colon names the connector. This binary knows sqlite: (a database\n\
               file) and files: (a folder of CSV or Parquet files).",
        example: Example::Files(&[(
            "sites.toml",
            "[central]\nurl = \"sqllite:central.db\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n",
        )]),
    },
    Entry {
        code: "E0204",
        title: "a password is written down",
        text: "Everybody who can read the file, and every copy of it in version control, can read that database.\n\
               Put ${env:NAME} or ${file:/run/secrets/name} in its place, and change the password: it was exposed.\n\
               In lists, `${env:PASSWORD_{site}}` gives each site its own.",
        example: Example::Files(&[(
            "sites.toml",
            "[central]\nurl = \"sqlite:central.db\"\npassword = \"hunter2\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n",
        )]),
    },
    Entry {
        code: "E0205",
        title: "a group's list cannot be read",
        text: "The file behind `each_in` is not there or not readable; its path begins at the project's folder. None\n\
               of the group's sites is known then.",
        example: Example::Files(&[("stores.csv", "")]),
    },
    Entry {
        code: "E0206",
        title: "a line of a list does not read",
        text: "A list has a header with a column `site`, and each line has as many columns as the header. A site that\n\
               is left out by mistake would be a store that nobody misses, so the whole list is refused.",
        example: Example::Files(&[("stores.csv", "site,host\nparis,10.0.0.1\noslo\n")]),
    },
    Entry {
        code: "E0207",
        title: "an empty group",
        text: "The list has a header and no line. A flow over it would move nothing and look healthy.",
        example: Example::Files(&[("stores.csv", "site,host\n")]),
    },
    Entry {
        code: "E0208",
        title: "a placeholder that cannot be filled in",
        text: "`{name}` in a group's values stands for a column of its list. A single site has no list. `${env:X}` and\n\
               `${file:/path}` stand for secrets.",
        example: Example::Files(&[(
            "sites.toml",
            "[central]\nurl = \"sqlite:central.db\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{folder}.db\"\n",
        )]),
    },
    Entry {
        code: "E0209",
        title: "a secret is not there",
        text: "The variable is not set or empty in this process's environment, or the file cannot be read. Services\n\
               and cron have another environment than your shell.",
        example: Example::Files(&[(
            "sites.toml",
            "[central]\nurl = \"sqlite:${env:CENTRAL_PATH}\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n",
        )]),
    },
    Entry {
        code: "E0210",
        title: "unknown time zone",
        text: "Zones are named as in the IANA database: Europe/Berlin, America/New_York, UTC. Abbreviations like CEST\n\
               are not zones: they do not say when the clock changes.",
        example: Example::Files(&[("stores.csv", "site,timezone\nparis,Europe/Pariss\noslo,\n")]),
    },
];
