//! Certificates, in the order they were made. What is in them, and whether their chain is whole, is the proof crate's
//! business; here they are bytes.

use super::{State, failed, optional, prepared};
use crate::certify;
use change::FlowId;
use connect::Result;
use proof::{Certificate, Head};
use rusqlite::{Connection, Row, params};

/// A stored certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Its place among the certificates of all flows, growing with time. Its number in its flow's chain is in the body.
    pub place: i64,
    /// Its flow.
    pub flow: FlowId,
    /// When it was made, microseconds since 1970-01-01T00:00:00Z.
    pub made_at: i64,
    /// Its verdict in one word.
    pub verdict: String,
    /// The certificate as it was hashed.
    pub body: Vec<u8>,
}

impl State {
    /// Appends the certificate that `seal` chains to the head of the flow's newest one. The audit log tells of its head,
    /// in the same transaction, so that nobody takes it away unseen.
    ///
    /// # Errors
    /// What `seal` says; `Corrupt` when the newest one is damaged and nothing else tells its head; the file cannot be
    /// written.
    pub fn chain_certificate(
        &self,
        flow: FlowId,
        seal: impl FnOnce(Option<Head>) -> Result<Certificate>,
    ) -> Result<Certificate> {
        self.audited(|db| {
            let told_last = told_last(db, flow)?;
            let previous = certify::previous(told_last.as_deref(), newest(db, flow)?.as_ref())?;
            let certificate = seal(previous)?;
            let Certificate { ended_at, verdict, .. } = &certificate;
            db.execute(
                "insert into certificate (flow, made_at, verdict, body) values (?1, ?2, ?3, ?4)",
                params![flow.to_i64(), ended_at, verdict, certificate.to_bytes()],
            )
            .map_err(failed("certificates cannot be written"))?;
            let act = certify::act(flow, &certificate);
            Ok((certificate, act))
        })
    }

    /// All certificates, oldest first; of one flow, or of all.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn certificates(&self, flow: Option<FlowId>) -> Result<Vec<StoredCertificate>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "select number, flow, made_at, verdict, body from certificate
             where ?1 is null or flow = ?1 order by number",
        )?;
        let rows = query
            .query_map([flow.map(FlowId::to_i64)], read)
            .map_err(failed("certificates cannot be read"))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failed("certificates cannot be read"))
    }
}

/// What the audit log says of the flow's newest certificate.
fn told_last(db: &Connection, flow: FlowId) -> Result<Option<String>> {
    let mut query = prepared(
        db,
        "select detail from audit where what = ?1 and detail like '%, head %, flow id ' || ?2
         order by number desc limit 1",
    )?;
    optional(query.query_row(params![certify::ACT, flow.to_string()], |row| row.get(0)))
}

fn newest(db: &Connection, flow: FlowId) -> Result<Option<StoredCertificate>> {
    let mut query = prepared(
        db,
        "select number, flow, made_at, verdict, body from certificate
         where flow = ?1 order by number desc limit 1",
    )?;
    optional(query.query_row([flow.to_i64()], read))
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredCertificate> {
    Ok(StoredCertificate {
        place: row.get(0)?,
        flow: FlowId::from_i64(row.get(1)?),
        made_at: row.get(2)?,
        verdict: row.get(3)?,
        body: row.get(4)?,
    })
}
