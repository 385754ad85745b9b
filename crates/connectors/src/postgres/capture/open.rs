//! How a capture begins and goes on: everything that could make it wrong is asked before the first row.
//!
//! The order matters: the publication is there before the slot that is decoded with it; the slot is ours before it is
//! looked at.

use super::super::address::Address;
use super::super::session::connect;
use super::assemble::Assembly;
use super::identity::Identity;
use super::place::{Place, changed};
use super::reader::PgReader;
use super::shapes::Shapes;
use super::stream::Stream;
use super::wire::Wire;
use super::{publication, slot};
use change::SourcePosition;
use connect::Result;
use connect::source::Resume;
use std::time::Duration;

/// How long the server may take to show what stands at our place, before the capture is opened all the same; nothing is
/// delivered before it has.
const COMPARING: Duration = Duration::from_secs(10);

/// Begins or resumes the capture of these tables.
///
/// # Errors
/// As [`connect::Source::capture`].
pub(super) fn open(address: &Address, tables: &[String], resume: &Resume) -> Result<PgReader> {
    let mut client = connect(address)?;
    slot::require_logical(&mut client)?;
    let shapes = Shapes::new(&mut client, tables, address.as_text)?;
    let wanted: Vec<_> = shapes.wanted().collect();
    let mut wire = Wire::connect(address)?;
    let mut identity = Identity::ask(&mut wire, &mut client, &address.site)?;
    let place = match resume {
        Resume::Fresh => {
            // Nothing of another reader's is touched while it reads.
            slot::wait_until_free(&mut client, &identity.slot)?;
            publication::make(&mut client, &identity.slot, &wanted)?;
            identity.begin = slot::make(&mut wire, &mut client, &identity.slot)?;
            SourcePosition::at(identity.begin)
        }
        Resume::After { history, position } => {
            identity = identity.continued(history)?;
            let place = parse(position)?;
            slot::require_kept(&mut client, &identity, &place)?;
            slot::wait_until_free(&mut client, &identity.slot)?;
            publication::follow(&mut client, &identity.slot, &wanted)?;
            position.clone()
        }
    };
    let name = &identity.slot;
    let wire = wire.start(&format!(
        "START_REPLICATION SLOT {name} LOGICAL 0/0 (proto_version '1', publication_names '\"{name}\"', messages 'true')"
    ))?;
    // The slot is ours now: nobody moves it on any more.
    let expected = parse(&place)?;
    let confirmed = slot::require_kept(&mut client, &identity, &expected)?;
    let expected = slot::comes_again(&expected, confirmed).then_some(expected);
    let end = slot::LogEnd::default().ask(&mut client)?;
    let stream = Stream::new(wire, &address.site, confirmed);
    let assembly = Assembly::new(shapes, place, expected, confirmed);
    let mut reader = PgReader::new(client, address, identity, stream, assembly, end);
    reader.compare(COMPARING)?;
    Ok(reader)
}

fn parse(position: &SourcePosition) -> Result<Place> {
    Place::parse(position).ok_or_else(|| changed("the position is none of a PostgreSQL server"))
}
