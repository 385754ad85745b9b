//! Which history a server shows: its cluster, its timeline, the database, and our slot there.
//!
//! Asked on every connect, before the first row. Invariant: positions are resumed in exactly the history that they were
//! captured from; a standby that took over, a copy, another database under the same url are told by name.

use super::super::error::failed;
use super::place::{SYSTEM, changed, parse_lsn, shown};
use super::wire::Wire;
use change::History;
use connect::{Error, Result};
use postgres::Client;

/// What tells one history from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    system: String,
    timeline: String,
    database: u32,
    pub(super) slot: String,
    /// Where the slot began: a slot of the same name that was made anew began elsewhere.
    pub(super) begin: u64,
}

impl Identity {
    /// What the server shows now; the slot's beginning is known to who made it.
    pub(super) fn ask(wire: &mut Wire, client: &mut Client, site: &str) -> Result<Identity> {
        let rows = wire.rows("IDENTIFY_SYSTEM")?;
        let cell = |i: usize| rows.first()?.get(i)?.clone();
        let (Some(system), Some(timeline)) = (cell(0), cell(1)) else {
            return Err(Error::internal("the server does not say which it is"));
        };
        let row = client
            .query_one("SELECT oid FROM pg_database WHERE datname = current_database()", &[])
            .map_err(failed("cannot read which database this is"))?;
        let database = row.get(0);
        Ok(Identity { system, timeline, database, slot: slot_name(site, database), begin: 0 })
    }

    /// As the lane records it.
    pub(super) fn history(&self) -> History {
        let Identity { system, timeline, database, slot, begin } = self;
        let begin = shown(*begin);
        let identity =
            format!("{system} timeline {timeline} database {database} slot {slot} from {begin}");
        History { system: SYSTEM.into(), identity }
    }

    /// The same with the beginning that the lane recorded.
    ///
    /// # Errors
    /// `Invalid` with `State::HistoryChanged` when anything else differs.
    pub(super) fn continued(self, recorded: &History) -> Result<Identity> {
        let begin = recorded.identity.rsplit_once(' ').and_then(|(_, begin)| parse_lsn(begin));
        let continued = Identity { begin: begin.unwrap_or(0), ..self };
        if continued.history() == *recorded {
            return Ok(continued);
        }
        let now = continued.history();
        Err(changed(format!("captured was `{recorded}`, this is `{now}`")))
    }
}

/// The name of a site's slot, and of its publication: of letters that PostgreSQL allows there.
fn slot_name(site: &str, database: u32) -> String {
    format!("{}{database}", publication_prefix(site))
}

/// The name without the database's number, which only the database knows.
pub(in crate::postgres) fn publication_prefix(site: &str) -> String {
    let plain = |letter: char| match letter.to_ascii_lowercase() {
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    };
    let site: String = site.chars().map(plain).take(40).collect();
    format!("seamount_{site}_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect::{Kind, State};

    #[test]
    fn a_history_goes_on_only_where_everything_agrees() {
        let identity = Identity {
            system: "7".into(),
            timeline: "1".into(),
            database: 5,
            slot: slot_name("Till 4/north", 5),
            begin: 0x16_0000_00ff,
        };
        assert_eq!(identity.slot, "seamount_till_4_north_5");
        let recorded = identity.history();
        let now = Identity { begin: 0, ..identity.clone() };
        assert_eq!(now.clone().continued(&recorded).unwrap(), identity);
        for other in [
            Identity { system: "8".into(), ..now.clone() },
            Identity { timeline: "2".into(), ..now.clone() },
            Identity { database: 6, ..now },
        ] {
            let error = other.continued(&recorded).unwrap_err();
            assert_eq!((error.kind, error.state), (Kind::Invalid, Some(State::HistoryChanged)));
        }
    }
}
