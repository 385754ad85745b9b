//! Certificates, in the order they were made. Their chain is the proof crate's business; here they are bytes.

use super::{State, failed, optional, prepared};
use crate::audit::Act;
use change::FlowId;
use connect::Result;
use rusqlite::{Row, params};

/// A stored certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCertificate {
    /// Its number, growing with time.
    pub number: i64,
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
    /// Appends a certificate and returns its number; the audit log tells of it by the hash of its bytes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add_certificate(
        &self,
        flow: FlowId,
        made_at: i64,
        verdict: &str,
        body: &[u8],
    ) -> Result<i64> {
        self.audited(|db| {
            db.execute(
                "insert into certificate (flow, made_at, verdict, body) values (?1, ?2, ?3, ?4)",
                params![flow.to_i64(), made_at, verdict, body],
            )
            .map_err(failed("certificates cannot be written"))?;
            let number = db.last_insert_rowid();
            let hash = blake3::hash(body).to_hex();
            let detail = format!("number {number}, {verdict}, flow id {flow}, content {hash}");
            Ok((number, Act { at: made_at, what: "certificate", detail }))
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

    /// The newest certificate; of one flow, or of all.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn newest_certificate(&self, flow: Option<FlowId>) -> Result<Option<StoredCertificate>> {
        let db = self.db();
        let mut query = prepared(
            &db,
            "select number, flow, made_at, verdict, body from certificate
             where ?1 is null or flow = ?1 order by number desc limit 1",
        )?;
        optional(query.query_row([flow.map(FlowId::to_i64)], read))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredCertificate> {
    Ok(StoredCertificate {
        number: row.get(0)?,
        flow: FlowId::from_i64(row.get(1)?),
        made_at: row.get(2)?,
        verdict: row.get(3)?,
        body: row.get(4)?,
    })
}
