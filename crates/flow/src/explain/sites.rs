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
        text: "`{name}` in a group's values stands for a column of its list. A single site has no list. `${env:X}`,\n\
               `${file:/path}` and `${cmd:program argument}` stand for secrets; a program takes no columns.",
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
    Entry {
        code: "E0211",
        title: "a secret's file is open to others",
        text: "A file of secrets counts only if it is a plain file that nobody but its owner can read: mode 0600 or 0400.\n\
               Links are not followed: who can change a link decides what is read. chmod 600 FILE, and change the secret\n\
               if others could read it.",
        example: Example::Shown("connect: a file counts only when its owner alone can read it"),
    },
    Entry {
        code: "E0212",
        title: "a secret would come from a program",
        text: "`${cmd:PROGRAM ARGUMENT}` takes what a program prints. It is off: who may edit this project's files should\n\
               not be able to run programs by that alone. The operator allows it for one process:\n\
               SEAMOUNT_SECRET_COMMANDS=allow in its environment. No shell is involved, and a program gets 10 seconds.",
        example: Example::Files(&[(
            "sites.toml",
            "[central]\nurl = \"sqlite:${cmd:pass show central}\"\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n",
        )]),
    },
    Entry {
        code: "E0213",
        title: "a path leaves its site's folder",
        text: "A site `files:FOLDER` reads below FOLDER and nowhere else. A path with `..`, a link that leads out, a pipe and\n\
               a device are refused when they are opened, so that nobody who can put a name into the folder can make the\n\
               engine read another file. Put the file itself there, or give its place a site of its own.",
        example: Example::Shown("connectors: a link that leads out of the folder is refused"),
    },
    Entry {
        code: "E0220",
        title: "a folder of files with masks",
        text: "`mask` is for tables. A folder of files is read by batch flows only: leave the columns out of the flow's\n\
               [transform], and nothing of them reaches the target, the log or the state folder.",
        example: Example::Files(&[(
            "sites.toml",
            "[central]\nurl = \"sqlite:central.db\"\n[drop]\nurl = \"files:drop\"\nmask = { sales = { email = \"drop\" } }\n[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n",
        )]),
    },
];
