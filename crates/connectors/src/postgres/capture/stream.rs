//! The stream of a slot: bytes received, cut into messages, and what is told back to the server.
//!
//! Knows where transactions begin and end, not what they hold. Nothing here waits: what is not there yet comes later.
//! Invariant: the server is told no place beyond the one that was acknowledged.

use super::place::lost;
use super::wire::{Wire, said};
use connect::{Error, Result};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes asked of the system at once.
const PIECE: usize = 64 << 10;

/// A buffer larger than this shrinks when it is empty.
const LARGE: usize = 16 << 20;

/// How long news of an acknowledged place may take to the server.
const NEWS: Duration = Duration::from_millis(500);

/// How often the server hears of us without news.
const ALIVE: Duration = Duration::from_secs(10);

/// In front of each message of the plugin: tag, length, `w`, start, end, time.
const HEAD: usize = 5 + 25;

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
pub(super) const EPOCH: i64 = 946_684_800_000_000;

/// A transaction or a message of its own, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Unit {
    /// Changes not yet taken.
    pub(super) rows: usize,
    /// Bytes not yet taken.
    pub(super) bytes: usize,
    /// Whether its end has come.
    pub(super) complete: bool,
    /// Where its commit begins; 0 for a message.
    pub(super) commit_lsn: u64,
}

/// A running replication.
pub(super) struct Stream {
    wire: Wire,
    bytes: Vec<u8>,
    /// The first byte that is not taken, the first that is not looked at, the first that is free.
    start: usize,
    scanned: usize,
    end: usize,
    units: VecDeque<Unit>,
    rows: usize,
    /// The server has sent everything up to here.
    seen: u64,
    reported: u64,
    answer_due: bool,
    said_at: Instant,
    what: String,
}

impl Stream {
    /// Takes over a connection that has started to replicate; `confirmed` is what the server knows.
    pub(super) fn new(wire: Wire, site: &str, confirmed: u64) -> Stream {
        Stream {
            wire,
            bytes: vec![0; PIECE],
            start: 0,
            scanned: 0,
            end: 0,
            units: VecDeque::new(),
            rows: 0,
            seen: 0,
            reported: confirmed,
            answer_due: false,
            said_at: Instant::now(),
            what: format!("cannot capture site {site}"),
        }
    }

    /// Everything that was committed up to here has been received, or is of no concern.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// The transaction or message whose bytes are next.
    pub(super) fn front(&self) -> Option<&Unit> {
        self.units.front()
    }

    /// Whether there is as much as a group may hold.
    pub(super) fn holds(&self, changes: usize, bytes: usize) -> bool {
        self.rows > changes || self.scanned - self.start > bytes
    }

    /// Reads what is there, until it holds more than so much. Returns whether anything came.
    ///
    /// # Errors
    /// `Unavailable` when the connection is gone; what the server says when it ends the stream.
    pub(super) fn fill(&mut self, changes: usize, bytes: usize) -> Result<bool> {
        let mut came = false;
        while !self.holds(changes, bytes) {
            self.make_room();
            let Some(count) = self.wire.read(&mut self.bytes[self.end..])? else { break };
            self.end += count;
            came = true;
            self.scan()?;
            if count < PIECE / 4 {
                // That was all: what comes meanwhile is worth no call of its own.
                break;
            }
        }
        Ok(came)
    }

    /// Waits until something comes, at most so long.
    ///
    /// # Errors
    /// As [`Stream::fill`].
    pub(super) fn wait(&mut self, longest: Duration) -> Result<()> {
        self.make_room();
        if let Some(count) = self.wire.read_within(&mut self.bytes[self.end..], longest)? {
            self.end += count;
            self.scan()?;
        }
        Ok(())
    }

    fn make_room(&mut self) {
        if self.start == self.end {
            (self.start, self.scanned, self.end) = (0, 0, 0);
            if self.bytes.len() > LARGE {
                self.bytes = vec![0; PIECE];
            }
        }
        if self.bytes.len() - self.end < PIECE / 4 {
            if self.start > self.bytes.len() / 2 {
                self.bytes.copy_within(self.start..self.end, 0);
                self.scanned -= self.start;
                self.end -= self.start;
                self.start = 0;
            } else {
                self.bytes.resize(self.bytes.len() * 2, 0);
            }
        }
    }

    /// The frame at a place: its tag and its end, once it is there as a whole.
    fn frame(&self, at: usize) -> Option<(u8, usize)> {
        let head = self.bytes[at..self.end].first_chunk::<5>()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let end = at + 1 + usize::try_from(length).ok()?.max(4);
        (end <= self.end).then_some((head[0], end))
    }

    /// Looks at frames that have come since the last time.
    fn scan(&mut self) -> Result<()> {
        while let Some((tag, end)) = self.frame(self.scanned) {
            let body = self.scanned + 5;
            match (tag, self.bytes[body..end].first()) {
                (b'd', Some(b'w')) if end > self.scanned + HEAD => self.note(self.scanned, end)?,
                (b'd', Some(b'k')) if end - body >= 18 => {
                    self.seen = self.seen.max(be64(&self.bytes[body + 1..]));
                    self.answer_due |= self.bytes[body + 17] == 1;
                }
                (b'E', _) => return Err(ended(said(&self.what, &self.bytes[body..end]))),
                (b'N' | b'S' | b'A', _) => {}
                (tag, _) => {
                    return Err(Error::unavailable(&self.what)
                        .found(format!("the server ended the stream (message {tag:#04x})")));
                }
            }
            self.scanned = end;
        }
        Ok(())
    }

    /// Counts a message of the plugin.
    fn note(&mut self, frame: usize, end: usize) -> Result<()> {
        let message = &self.bytes[frame + HEAD..end];
        let broken = || Error::internal("a message of the output plugin is too short");
        match message[0] {
            b'B' => {
                let commit_lsn = be64(message.get(1..9).ok_or_else(broken)?);
                self.units.push_back(Unit { commit_lsn, ..Unit::default() });
            }
            b'M' if self.units.back().is_none_or(|unit| unit.complete) => {
                self.seen = self.seen.max(be64(message.get(2..10).ok_or_else(broken)?));
                self.units.push_back(Unit { complete: true, ..Unit::default() });
            }
            b'C' => self.seen = self.seen.max(be64(message.get(10..18).ok_or_else(broken)?)),
            _ => {}
        }
        let unit = self
            .units
            .back_mut()
            .ok_or_else(|| Error::internal("a change comes outside of a transaction"))?;
        unit.bytes += end - frame;
        if is_row(message[0]) {
            unit.rows += 1;
            self.rows += 1;
        }
        unit.complete |= message[0] == b'C';
        Ok(())
    }

    /// Moves on to the next message of the plugin; frames that are none are passed over.
    pub(super) fn advance(&mut self) -> bool {
        while self.start < self.scanned {
            let (tag, end) = self.frame(self.start).expect("it was looked at");
            if tag == b'd' && self.bytes[self.start + 5] == b'w' {
                return true;
            }
            self.start = end;
        }
        false
    }

    /// The message that [`Stream::advance`] found.
    pub(super) fn message(&self) -> &[u8] {
        let (_, end) = self.frame(self.start).expect("a message was found");
        &self.bytes[self.start + HEAD..end]
    }

    /// The message has been taken.
    pub(super) fn taken(&mut self) {
        let (_, end) = self.frame(self.start).expect("a message was shown");
        let tag = self.bytes[self.start + HEAD];
        let unit = self.units.front_mut().expect("a message belongs to a unit");
        unit.bytes -= end - self.start;
        if is_row(tag) {
            unit.rows -= 1;
            self.rows -= 1;
        }
        let alone = tag == b'M' && unit.commit_lsn == 0;
        if tag == b'C' || alone {
            self.units.pop_front();
        }
        self.start = end;
    }

    /// Tells the server, where it is time to: that we live, and what it may let go of.
    ///
    /// # Errors
    /// `Unavailable` when the connection is gone.
    pub(super) fn report(&mut self, acknowledged: u64) -> Result<()> {
        let since = self.said_at.elapsed();
        let news = acknowledged > self.reported && since >= NEWS;
        if !news && !self.answer_due && since < ALIVE {
            return Ok(());
        }
        self.tell(acknowledged, 0)
    }

    /// Asks the server to say how far it has come.
    ///
    /// # Errors
    /// `Unavailable` when the connection is gone.
    pub(super) fn ask(&mut self, acknowledged: u64) -> Result<()> {
        self.tell(acknowledged, 1)
    }

    fn tell(&mut self, acknowledged: u64, reply: u8) -> Result<()> {
        self.reported = self.reported.max(acknowledged);
        let place = self.reported.to_be_bytes();
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = i64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(0) - EPOCH;
        // Received, flushed, applied: one place, so that the server says of its own accord when it is at the end.
        let body = [&b"r"[..], &place, &place, &place, &now.to_be_bytes(), &[reply]].concat();
        self.answer_due = false;
        self.said_at = Instant::now();
        self.wire.send(b'd', &body)
    }

    /// Tells the server one last time, and lets go of the slot.
    pub(super) fn close(&mut self, acknowledged: u64) {
        let _ = self.tell(acknowledged, 0);
        self.wire.close();
    }
}

/// What the server says when it ends the stream. That it does not know the publication means that changes were passed
/// over: it looks for it as of each change.
fn ended(error: Error) -> Error {
    match error.found.as_deref() {
        Some(found) if found.contains("42704") => lost(found),
        _ => error,
    }
}

fn is_row(tag: u8) -> bool {
    matches!(tag, b'I' | b'U' | b'D' | b'T')
}

fn be64(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"))
}
