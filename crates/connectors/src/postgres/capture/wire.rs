//! A connection for replication: blocking while it logs in and starts, then read and written without waiting.
//!
//! Not for ordinary statements: [`super::super::session`] has those. One message at a time; what comes behind the
//! start of replication is the business of [`super::stream`]. Invariant: no password goes over a network in the clear.

use super::super::address::{Address, Tls};
use super::super::error::kind_of;
use super::super::session::SETTINGS;
use super::super::tls;
use super::auth;
use super::slot::OURS;
use connect::{Error, Result};
use postgres::config::Host;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::SockRef;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

/// What a login, or a statement on this connection, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What connecting to one address may take.
const CONNECTING: Duration = Duration::from_secs(15);

/// Bytes the system may hold for us: little, so that under a backlog the server sends large pieces.
const RECEIVE: usize = 64 << 10;

/// The way to a server.
enum Link {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// A message of the server.
pub(super) struct Message {
    pub(super) tag: u8,
    pub(super) body: Vec<u8>,
}

/// A replication connection.
pub(super) struct Wire {
    link: Link,
    site: String,
}

impl Wire {
    /// Logs in to the first server of the address that leads.
    ///
    /// # Errors
    /// `Unavailable` when none can be reached or leads, `Invalid` when the login is refused.
    pub(super) fn connect(address: &Address) -> Result<Wire> {
        let config = &address.config;
        let mut last = None;
        for (i, host) in config.get_hosts().iter().enumerate() {
            let ports = config.get_ports();
            let port = ports.get(i).or(ports.first()).copied().unwrap_or(5432);
            match Wire::to(address, host, port) {
                Ok(wire) => return Ok(wire),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| Error::invalid("the url names no host")))
    }

    fn to(address: &Address, host: &Host, port: u16) -> Result<Wire> {
        let what = format!("cannot log in to site {} for replication", address.site);
        let link = link(address, host, port)
            .map_err(|e| unreachable_server(&what, &e))
            .and_then(|link| secure(link, address, host, &what))?;
        let mut wire = Wire { link, site: address.site.clone() };
        wire.set_patience(Some(PATIENCE)).map_err(|e| unreachable_server(&what, &e))?;
        wire.log_in(address)?;
        match wire.rows("SELECT pg_is_in_recovery()")?.first().and_then(|row| row[0].clone()) {
            Some(standby) if standby == "f" => Ok(wire),
            _ => Err(Error::unavailable(what)
                .found("the server is a standby")
                .fix("name the server that leads in the url, or all of them: host=a,b")),
        }
    }

    fn log_in(&mut self, address: &Address) -> Result<()> {
        let config = &address.config;
        let user = config.get_user().unwrap_or("postgres");
        let database = config.get_dbname().unwrap_or(user);
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        for (name, value) in [
            ("user", user),
            ("database", database),
            ("replication", "database"),
            ("application_name", OURS.as_str()),
            ("client_encoding", "UTF8"),
            ("options", SETTINGS),
        ] {
            body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).expect("a login is short");
        self.put(&[&length.to_be_bytes()[..], &body].concat())?;
        let secret = !matches!(self.link, Link::Tcp(_));
        auth::answer(self, user.as_bytes(), config.get_password(), secret)?;
        self.until_ready(|_| ())
    }

    /// Runs a statement and returns its rows as text.
    pub(super) fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.send(b'Q', &[sql.as_bytes(), b"\0"].concat())?;
        let mut rows = Vec::new();
        self.until_ready(|message| {
            if message.tag == b'D' {
                rows.push(cells(&message.body));
            }
        })?;
        Ok(rows)
    }

    /// Starts replication; from now on the connection is read and written without waiting.
    pub(super) fn start(mut self, sql: &str) -> Result<Wire> {
        self.send(b'Q', &[sql.as_bytes(), b"\0"].concat())?;
        while self.message()?.tag != b'W' {}
        self.set_patience(None).map_err(|e| unreachable_server(&self.what(), &e))?;
        Ok(self)
    }

    /// Reads messages until the server waits for a statement.
    fn until_ready(&mut self, mut each: impl FnMut(&Message)) -> Result<()> {
        let mut failed = None;
        loop {
            match self.message() {
                Ok(message) if message.tag == b'Z' => break,
                Ok(message) => each(&message),
                // An error of the server is followed by its being ready, unless it ends the session.
                Err(error) if error.kind != connect::Kind::Unavailable && failed.is_none() => {
                    failed = Some(error);
                }
                Err(error) => return Err(failed.unwrap_or(error)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// The next message; an error that the server tells is one.
    pub(super) fn message(&mut self) -> Result<Message> {
        let what = self.what();
        let gone = |e: io::Error| unreachable_server(&what, &e);
        let mut head = [0; 5];
        self.link.read_exact(&mut head).map_err(gone)?;
        let length = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
        let mut body = vec![0; length.saturating_sub(4)];
        self.link.read_exact(&mut body).map_err(gone)?;
        if head[0] == b'E' {
            return Err(said(&what, &body));
        }
        Ok(Message { tag: head[0], body })
    }

    /// Sends a message.
    pub(super) fn send(&mut self, tag: u8, body: &[u8]) -> Result<()> {
        let length = u32::try_from(body.len() + 4).expect("what we send is short");
        self.put(&[&[tag][..], &length.to_be_bytes(), body].concat())
    }

    /// Sends bytes, however long the system takes for a few of them.
    fn put(&mut self, mut bytes: &[u8]) -> Result<()> {
        let mut waited = Duration::ZERO;
        while !bytes.is_empty() {
            match self.link.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock && waited < PATIENCE => {
                    waited += Duration::from_millis(1);
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(e) => return Err(unreachable_server(&self.what(), &e)),
            }
        }
        self.link.flush().or_else(|e| match e.kind() {
            io::ErrorKind::WouldBlock => Ok(()),
            _ => Err(unreachable_server(&self.what(), &e)),
        })
    }

    /// Reads what is there; `None` when nothing is now.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<Option<usize>> {
        loop {
            match self.link.read(into) {
                Ok(0) => {
                    let gone = io::Error::from(io::ErrorKind::UnexpectedEof);
                    return Err(unreachable_server(&self.what(), &gone));
                }
                Ok(count) => return Ok(Some(count)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(unreachable_server(&self.what(), &e)),
            }
        }
    }

    /// Reads what is there, or comes in so much time.
    pub(super) fn read_within(
        &mut self,
        into: &mut [u8],
        longest: Duration,
    ) -> Result<Option<usize>> {
        let failed = |e: io::Error, what: String| unreachable_server(&what, &e);
        // No time at all would mean without an end.
        let longest = longest.max(Duration::from_micros(1));
        self.set_patience(Some(longest)).map_err(|e| failed(e, self.what()))?;
        let read = self.read(into);
        self.set_patience(None).map_err(|e| failed(e, self.what()))?;
        read
    }

    fn what(&self) -> String {
        format!("cannot capture site {}", self.site)
    }

    /// How long reads and writes wait: not at all for `None`.
    fn set_patience(&mut self, patience: Option<Duration>) -> io::Result<()> {
        match &self.link {
            Link::Unix(unix) => {
                unix.set_nonblocking(patience.is_none())?;
                unix.set_read_timeout(patience)
            }
            Link::Tcp(tcp) => tcp_patience(tcp, patience),
            Link::Tls(stream) => tcp_patience(&stream.sock, patience),
        }
    }

    /// Says goodbye; a server that does not hear it notices by itself.
    pub(super) fn close(&mut self) {
        let _ = self.link.write_all(b"c\0\0\0\x04X\0\0\0\x04");
        let _ = self.link.flush();
        let _ = match &self.link {
            Link::Unix(unix) => unix.shutdown(std::net::Shutdown::Both),
            Link::Tcp(tcp) => tcp.shutdown(std::net::Shutdown::Both),
            Link::Tls(stream) => stream.sock.shutdown(std::net::Shutdown::Both),
        };
    }
}

fn tcp_patience(tcp: &TcpStream, patience: Option<Duration>) -> io::Result<()> {
    tcp.set_nonblocking(patience.is_none())?;
    tcp.set_read_timeout(patience)
}

fn link(address: &Address, host: &Host, port: u16) -> io::Result<Link> {
    let name = match host {
        Host::Unix(folder) => {
            return UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).map(Link::Unix);
        }
        Host::Tcp(name) => name.as_str(),
    };
    let patience = address.config.get_connect_timeout().copied().unwrap_or(CONNECTING);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for place in (name, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, patience) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                SockRef::from(&tcp).set_recv_buffer_size(RECEIVE)?;
                return Ok(Link::Tcp(tcp));
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Wraps a connection in TLS where the address wants it.
fn secure(link: Link, address: &Address, host: &Host, what: &str) -> Result<Link> {
    match (&address.tls, link, host) {
        (Tls::VerifyFull { roots }, Link::Tcp(tcp), Host::Tcp(name)) => {
            let config = tls::config(roots.as_deref()).map_err(|e| e.at(what))?;
            handshake(tcp, config, name, what)
        }
        // A socket of this machine needs none.
        (_, link, _) => Ok(link),
    }
}

fn handshake(mut tcp: TcpStream, config: ClientConfig, name: &str, what: &str) -> Result<Link> {
    let gone = |e: io::Error| unreachable_server(what, &e);
    tcp.set_read_timeout(Some(PATIENCE)).map_err(gone)?;
    tcp.write_all(&[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]).map_err(gone)?;
    let mut answer = [0];
    tcp.read_exact(&mut answer).map_err(gone)?;
    if answer != *b"S" {
        return Err(Error::invalid(what)
            .found("the server offers no TLS")
            .effect("nothing was sent to it")
            .fix("set ssl = on at the server, or write sslmode=disable in the url where the network is trusted"));
    }
    let server = ServerName::try_from(name.to_string())
        .map_err(|_| Error::invalid(what).found(format!("{name} is no name of a server")))?;
    let session = ClientConnection::new(Arc::new(config), server)
        .map_err(|e| Error::internal("TLS cannot be set up").caused_by(e))?;
    let mut stream = StreamOwned::new(session, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).map_err(|e| {
            Error::invalid(what)
                .found(e.to_string())
                .effect("the server cannot be trusted, and nothing was sent to it")
        })?;
    }
    Ok(Link::Tls(Box::new(stream)))
}

impl Read for Link {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Tcp(tcp) => tcp.read(into),
            Link::Unix(unix) => unix.read(into),
            Link::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Tcp(tcp) => tcp.write(bytes),
            Link::Unix(unix) => unix.write(bytes),
            Link::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Link::Tcp(tcp) => tcp.flush(),
            Link::Unix(unix) => unix.flush(),
            Link::Tls(stream) => stream.flush(),
        }
    }
}

fn unreachable_server(what: &str, error: &io::Error) -> Error {
    let found = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection is gone".into(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "the server does not answer".into(),
        _ => error.to_string(),
    };
    Error::unavailable(what).found(found).fix("see that the server runs and can be reached")
}

/// What the server says in an error: its primary message names tables and slots, never rows; the rest is not told.
pub(super) fn said(what: &str, body: &[u8]) -> Error {
    let (mut state, mut text) = (String::new(), String::new());
    for field in body.split(|byte| *byte == 0).filter(|field| field.len() > 1) {
        let value = || String::from_utf8_lossy(&field[1..]).into_owned();
        match field[0] {
            b'C' => state = value(),
            b'M' => text = value(),
            _ => {}
        }
    }
    Error::new(kind_of(&state), what).found(format!("{text} (SQLSTATE {state})"))
}

/// Cells of a row in text.
fn cells(body: &[u8]) -> Vec<Option<String>> {
    let mut cells = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some((length, behind)) = rest.split_at_checked(4) {
        let length = i32::from_be_bytes(length.try_into().expect("four bytes"));
        let Ok(length) = usize::try_from(length) else {
            cells.push(None);
            rest = behind;
            continue;
        };
        let Some((cell, behind)) = behind.split_at_checked(length) else { break };
        cells.push(Some(String::from_utf8_lossy(cell).into_owned()));
        rest = behind;
    }
    cells
}
