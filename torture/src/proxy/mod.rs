//! A TCP proxy that fails on purpose: it stands between a client and a server, and delays, starves, corrupts, cuts or
//! silences what passes. Threads and blocking sockets only; what it does follows from its plan and its seed.
//!
//! ```no_run
//! use seamount_torture::proxy::{After, Cut, Fault, Plan, Proxy};
//! let cut = Fault::Cut { after: After::Pattern(b"COMMIT".to_vec()), how: Cut::Silence };
//! let plan = Plan { seed: 7, to_server: vec![cut], ..Plan::default() };
//! let proxy = Proxy::start("127.0.0.1:0", "127.0.0.1:5432", plan)?;
//! println!("connect to {}", proxy.address());
//! # std::io::Result::Ok(())
//! ```
//!
//! Not a model of a network: TCP below it is the real one, so bytes are never lost or reordered inside a connection.

mod plan;
mod pump;

pub use plan::{After, Cut, Fault, Plan, Way};

use socket2::SockRef;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

const LOOK_EACH: Duration = Duration::from_millis(5);

/// Counts of what has passed, over all connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Connections that were accepted.
    pub connections: u64,
    /// Bytes that the server was given.
    pub to_server: u64,
    /// Bytes that the client was given.
    pub to_client: u64,
    /// Faults that came to pass, delays left out.
    pub faults: u64,
}

/// Shared between the threads of a proxy.
#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Nothing passes while it is set, in either direction; connections stay open.
    silent: AtomicBool,
    connections: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
    faults: AtomicU64,
    open: Mutex<Vec<Line>>,
    /// Grows when all connections are broken: those of an older generation end.
    generation: AtomicU64,
    /// Whether something lies in wait: looked at by every piece, so it is no lock.
    waits: AtomicBool,
    ambush: Mutex<Option<(Vec<u8>, Cut)>>,
}

/// An open connection, both of its ends.
#[derive(Debug)]
struct Line {
    client: TcpStream,
    server: TcpStream,
    /// Nothing passes on this one.
    silent: Arc<AtomicBool>,
}

/// A running proxy; dropped, it closes every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Listens, and connects each client to `to`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn start(listen: &str, to: &str, plan: Plan) -> io::Result<Proxy> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let (ours, to) = (shared.clone(), to.to_string());
        let accepting = std::thread::spawn(move || accept(&listener, &to, &plan, &ours));
        Ok(Proxy { address, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has passed by now.
    pub fn passed(&self) -> Passed {
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
        Passed {
            connections: of(&self.shared.connections),
            to_server: of(&self.shared.to_server),
            to_client: of(&self.shared.to_client),
            faults: of(&self.shared.faults),
        }
    }

    /// From now on nothing passes on open connections, and none is closed: the network is partitioned.
    pub fn fall_silent(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// What waited passes again.
    pub fn speak(&self) {
        self.shared.silent.store(false, Ordering::SeqCst);
    }

    /// Closes every open connection; new ones are taken.
    pub fn reset_all(&self) {
        for line in self.open().drain(..) {
            // It may be gone already.
            let _ = line.client.shutdown(Shutdown::Both);
            let _ = line.server.shutdown(Shutdown::Both);
        }
    }

    /// Breaks every open connection by a reset (RST) to both sides; new ones are taken.
    pub fn break_all(&self) {
        let lines: Vec<Line> = self.open().drain(..).collect();
        for stream in lines.iter().flat_map(|line| [&line.client, &line.server]) {
            // The last one who closes such a socket sends the reset; it may be gone already.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
        self.shared.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// The server's end of every open connection is broken, and the client is told nothing, until [`Proxy::break_all`]:
    /// connections that are half open. New ones are taken.
    pub fn lose_servers(&self) {
        for line in self.open().iter() {
            line.silent.store(true, Ordering::SeqCst);
            let _ = SockRef::from(&line.server).set_linger(Some(Duration::ZERO));
            let _ = line.server.shutdown(Shutdown::Both);
        }
    }

    /// Lies in wait: the next connection whose client sends these bytes is cut right behind them, and
    /// hears no answer to them.
    pub fn cut_behind(&self, pattern: &[u8], how: Cut) {
        *self.ambush() = Some((pattern.to_vec(), how));
        self.shared.waits.store(true, Ordering::SeqCst);
    }

    /// Waits no longer; whether somebody fell into it.
    pub fn sprung(&self) -> bool {
        self.shared.waits.store(false, Ordering::SeqCst);
        self.ambush().take().is_none()
    }

    fn open(&self) -> MutexGuard<'_, Vec<Line>> {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ambush(&self) -> MutexGuard<'_, Option<(Vec<u8>, Cut)>> {
        self.shared.ambush.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.reset_all();
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, to: &str, plan: &Plan, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::SeqCst) {
        let Ok((client, _)) = listener.accept() else {
            std::thread::sleep(LOOK_EACH);
            continue;
        };
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        // A server that is not there closes the client's connection, as it would without us.
        if client.set_nonblocking(false).is_ok()
            && let Ok(server) = TcpStream::connect(to)
        {
            let _ = connect(client, server, plan, number, shared);
        }
    }
}

/// Starts both directions of a connection.
fn connect(
    client: TcpStream,
    server: TcpStream,
    plan: &Plan,
    number: u64,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let silent = Arc::new(AtomicBool::new(false));
    let line =
        Line { client: client.try_clone()?, server: server.try_clone()?, silent: silent.clone() };
    shared.open.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    }
    let (to_client, to_server) = (client.try_clone()?, server.try_clone()?);
    for (way, from, to) in [(Way::ToServer, client, to_server), (Way::ToClient, server, to_client)]
    {
        let pump = pump::Pump::new(way, from, to, plan, number, silent.clone(), shared.clone());
        std::thread::spawn(move || pump.run());
    }
    Ok(())
}

#[cfg(test)]
mod trials;
