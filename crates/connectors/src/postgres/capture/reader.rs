//! The reader of a slot: hands out groups, reads rows to their place, tells the server what is durable.
//!
//! Under a backlog it reads in large pieces with short pauses, since a server that is read eagerly pays for every small
//! message; when there is none it reads at once. Before it says that there is nothing, it asks where the server's log
//! ends and lets the stream come up to there. It waits for what has happened, never for what has not.

use super::super::address::Address;
use super::super::error::failed;
use super::super::names::TableName;
use super::super::read::MARK;
use super::super::types::AsText;
use super::assemble::{Assembly, Next, READ, Watch, now};
use super::identity::Identity;
use super::place::read_at;
use super::publication::require_unchanged;
use super::rows::{Read, Subject, make_durable};
use super::slot::{LogEnd, kept};
use super::stream::Stream;
use change::{ChangeBatch, GroupBody, GroupKind, History, Part, SnapshotChunk, SourcePosition};
use connect::log::Bounds;
use connect::source::{ChangeReader, ReadRequest, Retained};
use connect::{Error, Result};
use postgres::Client;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two looks at a stream that is still coming.
const PAUSE: Duration = Duration::from_micros(800);

/// Between two looks for what must come at once.
const LOOK: Duration = Duration::from_micros(60);

/// How long a group may be kept open under a backlog, for more to come.
const LINGER: Duration = Duration::from_millis(30);

/// How long the server may be silent on what it has, before it is said that there is nothing: it may be busy, and whoever
/// drains a site takes that for the end.
const PATIENCE: Duration = Duration::from_secs(3);

/// The same where it was silent at the look before, or where rows wait that cannot be read now: other sites have to be
/// looked at, too.
const SILENCE: Duration = Duration::from_millis(300);

/// How long a look takes at most, whatever comes that is no group.
const LONGEST: Duration = Duration::from_secs(3);

/// A backlog: this much of the server's log is still to come.
const BACKLOG: u64 = 256 << 10;

/// When rows are read again that could not be read now.
const AGAIN: Duration = Duration::from_millis(100);

/// How often it is asked whether there is one, while changes come without a pause.
const ASKING: Duration = Duration::from_millis(50);

/// How much of the server's log that is of no concern makes a place of its own worthwhile, and how often.
const BEAT: (u64, Duration) = (16 << 20, Duration::from_secs(10));

/// A group that was handed out and is not acknowledged.
struct Sent {
    upto: SourcePosition,
    /// What may be confirmed once it is.
    confirm: u64,
    changes: usize,
}

/// Rows that were read and wait for their place.
struct Held {
    /// The text of the message at their place.
    message: String,
    /// What asked for them.
    request: ReadRequest,
    rest: Option<ReadRequest>,
    kind: GroupKind,
    batches: Vec<ChangeBatch>,
    snapshot: String,
    mark: u64,
    ready: bool,
}

/// Reads the changes of one database.
pub(super) struct PgReader {
    client: Client,
    as_text: AsText,
    identity: Identity,
    history: History,
    stream: Stream,
    assembly: Assembly,
    requests: VecDeque<ReadRequest>,
    held: Option<Held>,
    reads: u64,
    read_from: Instant,
    sent: VecDeque<Sent>,
    acknowledged: u64,
    /// Where the server's log ended when it was last asked, and when that was.
    end: u64,
    log_end: LogEnd,
    asked: Instant,
    beat: Option<Instant>,
    /// Whether the last look ended with a silence of the server.
    silent: bool,
}

impl PgReader {
    /// A reader of a stream that has been started; nothing has been compared yet.
    pub(super) fn new(
        client: Client,
        address: &Address,
        identity: Identity,
        stream: Stream,
        assembly: Assembly,
        end: u64,
    ) -> PgReader {
        PgReader {
            client,
            as_text: address.as_text,
            history: identity.history(),
            identity,
            stream,
            acknowledged: assembly.confirm,
            assembly,
            requests: VecDeque::new(),
            held: None,
            reads: 0,
            read_from: Instant::now(),
            sent: VecDeque::new(),
            end,
            log_end: LogEnd::default(),
            asked: Instant::now(),
            beat: None,
            silent: false,
        }
    }

    /// Compares what stands at the place that is to be resumed, where the server shows it in time; else later, before
    /// anything is delivered.
    pub(super) fn compare(&mut self, patience: Duration) -> Result<()> {
        let began = Instant::now();
        while self.assembly.is_comparing() && began.elapsed() < patience {
            let came = self.stream.fill(Bounds::BATCH.changes, Bounds::BATCH.bytes)?;
            self.assembly.next(&mut self.stream, &mut self.client, Bounds::BATCH)?;
            self.assembly.require_compared(self.stream.seen())?;
            if !came {
                self.stream.ask(self.acknowledged)?;
                std::thread::sleep(PAUSE);
            }
        }
        Ok(())
    }

    fn hand_out(&mut self, body: GroupBody) -> GroupBody {
        let changes = if body.kind == GroupKind::Changes { body.changes() } else { 0 };
        let confirm = self.assembly.confirm;
        self.sent.push_back(Sent { upto: body.upto.clone(), confirm, changes });
        body
    }

    /// Rows whose place has come.
    fn take_held(&mut self) -> Option<GroupBody> {
        let held = self.held.take_if(|held| held.ready)?;
        if let Some(rest) = held.rest {
            self.requests.push_front(rest);
        }
        let here = read_at(&self.assembly.place, &held.snapshot);
        Some(self.hand_out(GroupBody {
            kind: held.kind,
            part: Part::WHOLE,
            after: here.clone(),
            upto: here,
            commit_time: now(),
            batches: held.batches,
        }))
    }

    /// Reads rows that were asked for, or lets them wait: for a lock that the application holds, or for changes that
    /// were delivered and are not visible yet.
    fn try_to_read(&mut self, bounds: Bounds) -> Result<()> {
        if self.requests.is_empty() || Instant::now() < self.read_from {
            return Ok(());
        }
        match self.read_rows(bounds) {
            Err(e) if !e.found.as_deref().is_some_and(|found| found.contains("55P03")) => Err(e),
            _ if self.held.is_some() => Ok(()),
            _ => {
                self.read_from = Instant::now() + AGAIN;
                Ok(())
            }
        }
    }

    /// Reads rows for the oldest request, unless what was delivered is not visible yet.
    fn read_rows(&mut self, bounds: Bounds) -> Result<()> {
        let Some(request) = self.requests.front().cloned() else { return Ok(()) };
        let (ReadRequest::Snapshot { table, .. } | ReadRequest::Keys { table, .. }) = &request;
        let (name, spelt) = self.captured(table)?;
        self.reads += 1;
        let message = format!("{READ}{}-{}", self.identity.slot.len(), self.reads);
        let message = format!("{message}-{:x}", now());
        let subject =
            Subject { name: &name, table: &spelt, as_text: self.as_text, message: &message };
        let (read, kind, rest) = match &request {
            ReadRequest::Snapshot { table, id, after } => {
                let read = subject.chunk(&mut self.client, after.as_ref(), bounds)?;
                let (upto, table) = (read.upto.clone(), table.clone());
                let rest = upto.clone().map(|after| ReadRequest::Snapshot {
                    table: table.clone(),
                    id: *id,
                    after: Some(after),
                });
                let chunk = SnapshotChunk { id: *id, table, after: after.clone(), upto };
                (read, GroupKind::Snapshot(chunk), rest)
            }
            ReadRequest::Keys { table, keys } => {
                let (now, later) = keys.split_at(keys.len().min(bounds.changes.max(1)));
                let read = subject.keys(&mut self.client, now)?;
                let rest = (!later.is_empty())
                    .then(|| ReadRequest::Keys { table: table.clone(), keys: later.to_vec() });
                (read, GroupKind::Repair, rest)
            }
        };
        let Read { snapshot, mark, batches, .. } = read;
        if !self.assembly.is_seen_by(&snapshot) {
            return Ok(());
        }
        self.requests.pop_front();
        let held = Held {
            message,
            request,
            rest,
            kind,
            batches,
            snapshot: snapshot.text(),
            mark,
            ready: false,
        };
        self.held = Some(held);
        self.assembly.watch = Some(Watch { table: spelt, snapshot, void: false });
        Ok(())
    }

    /// The place of rows has come: they stand there, or are read again where a change in front of it was not seen.
    fn place_held(&mut self, message: &str) {
        let Some(held) = self.held.as_mut().filter(|held| held.message == message) else { return };
        let void = self.assembly.watch.take().is_none_or(|watch| watch.void);
        held.ready = !void;
        if let Some(held) = self.held.take_if(|_| void) {
            self.requests.push_front(held.request);
        }
    }

    /// Up to where the stream must have come before there is nothing.
    fn goal(&mut self) -> Result<u64> {
        self.ask_for_the_end()?;
        let mark = self.held.as_ref().map_or(0, |held| held.mark);
        if mark > self.end {
            make_durable(&mut self.client)?;
        }
        Ok(self.end.max(mark))
    }

    fn ask_for_the_end(&mut self) -> Result<()> {
        self.end = self.log_end.ask(&mut self.client)?;
        self.asked = Instant::now();
        Ok(())
    }

    fn is_behind(&self) -> bool {
        self.stream.seen() + BACKLOG < self.end
    }

    /// A place of its own where much of the server's log was of no concern: it need not be kept for us.
    fn keep_up(&mut self) -> Result<()> {
        let behind = self.stream.seen().saturating_sub(self.assembly.place.sequence);
        let lately = self.beat.is_some_and(|beat| beat.elapsed() < BEAT.1);
        if behind < BEAT.0 || lately || !self.sent.is_empty() {
            return Ok(());
        }
        self.beat = Some(Instant::now());
        let text = format!("beat-{:x}", now());
        self.client
            .execute("SELECT pg_logical_emit_message(false, $1, $2)", &[&MARK, &text])
            .map(drop)
            .map_err(failed("cannot write a message"))
    }

    fn captured(&self, table: &str) -> Result<(TableName, Arc<str>)> {
        let found =
            self.assembly.shapes.spelt(table).map(|(name, spelt)| (name.clone(), spelt.clone()));
        found.ok_or_else(|| Error::invalid(format!("table {table} is not captured")))
    }
}

impl ChangeReader for PgReader {
    fn history(&self) -> &History {
        &self.history
    }

    fn poll(&mut self, bounds: Bounds) -> Result<Option<GroupBody>> {
        let began = Instant::now();
        let (mut heard, mut goal) = (began, None);
        loop {
            self.stream.report(self.acknowledged)?;
            if let Some(group) = self.take_held() {
                return Ok(Some(group));
            }
            if self.held.is_none() && !self.assembly.is_comparing() {
                self.try_to_read(bounds)?;
            }
            let came = self.stream.fill(bounds.changes, bounds.bytes)?;
            let full = self.stream.holds(bounds.changes, bounds.bytes);
            if came && self.stream.seen() > self.end && self.asked.elapsed() > ASKING {
                self.ask_for_the_end()?;
            }
            // The rest of a transaction is on its way.
            let torn = self.stream.front().is_some_and(|unit| !unit.complete);
            if !full && (torn || self.is_behind()) && began.elapsed() < LINGER {
                std::thread::sleep(if torn && !came { LOOK } else { PAUSE });
                continue;
            }
            match self.assembly.next(&mut self.stream, &mut self.client, bounds)? {
                Next::Group(group) => return Ok(Some(self.hand_out(group))),
                Next::Mark(message) => {
                    self.place_held(&message);
                    (heard, goal) = (Instant::now(), None);
                    continue;
                }
                Next::Nothing => {}
            }
            self.assembly.require_compared(self.stream.seen())?;
            if came {
                (heard, self.silent) = (Instant::now(), false);
                if began.elapsed() < LONGEST {
                    continue;
                }
            }
            let end = match goal {
                Some(end) => end,
                None => *goal.insert(self.goal()?),
            };
            let waits = self.held.is_some() || !self.requests.is_empty();
            if self.stream.seen() >= end && !waits {
                self.silent = false;
                self.keep_up()?;
                return Ok(None);
            }
            let patience = if self.silent || waits { SILENCE } else { PATIENCE };
            if heard.elapsed() > patience || began.elapsed() > LONGEST {
                self.silent = !waits;
                return Ok(None);
            }
            if heard.elapsed() > PAUSE {
                self.stream.ask(self.acknowledged)?;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn wait(&mut self, longest: Duration) -> Result<bool> {
        self.stream.report(self.acknowledged)?;
        if self.held.is_none() && self.requests.is_empty() {
            self.stream.wait(longest)?;
        }
        Ok(true)
    }

    fn acknowledge(&mut self, position: &SourcePosition) -> Result<()> {
        let exact = self.sent.iter().rposition(|sent| sent.upto == *position);
        let earlier = |sent: &Sent| sent.upto.sequence < position.sequence;
        let Some(last) = exact.or_else(|| self.sent.iter().rposition(earlier)) else {
            return Ok(());
        };
        for sent in self.sent.drain(..=last) {
            self.acknowledged = self.acknowledged.max(sent.confirm);
        }
        Ok(())
    }

    fn request(&mut self, read: ReadRequest) -> Result<()> {
        let (ReadRequest::Snapshot { table, .. } | ReadRequest::Keys { table, .. }) = &read;
        self.captured(table)?;
        if !matches!(&read, ReadRequest::Keys { keys, .. } if keys.is_empty()) {
            self.requests.push_back(read);
        }
        Ok(())
    }

    fn retained(&mut self) -> Result<Retained> {
        require_unchanged(&mut self.client, &self.identity.slot)?;
        let bytes = kept(&mut self.client, &self.identity.slot)?;
        let changes = self.sent.iter().map(|sent| sent.changes as u64).sum();
        Ok(Retained { changes, bytes: Some(bytes) })
    }
}

impl Drop for PgReader {
    fn drop(&mut self) {
        self.stream.close(self.acknowledged);
    }
}
