//! One direction of one connection: a thread that reads, does what the plan says, and writes.
//!
//! Invariant: without a fault, the bytes written are the bytes read, in their order.

use super::plan::{After, Cut, Fault, Plan, Way};
use super::{LOOK_EACH, Shared};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;

pub(super) struct Pump {
    way: Way,
    from: TcpStream,
    to: TcpStream,
    faults: Vec<Fault>,
    /// Bytes that have passed.
    passed: u64,
    /// The end of what has passed, for patterns that lie over two pieces.
    tail: Vec<u8>,
    random: u64,
    /// Of this connection alone.
    silent: Arc<AtomicBool>,
    shared: Arc<Shared>,
    /// Of the connection; see [`Shared`].
    generation: u64,
}

/// Whether a direction goes on.
#[derive(PartialEq, Eq)]
enum Goes {
    On,
    Over,
}

impl Pump {
    pub(super) fn new(
        way: Way,
        from: TcpStream,
        to: TcpStream,
        plan: &Plan,
        number: u64,
        silent: Arc<AtomicBool>,
        shared: Arc<Shared>,
    ) -> Pump {
        let salt = number.wrapping_mul(2).wrapping_add(u64::from(way == Way::ToClient));
        Pump {
            way,
            from,
            to,
            faults: plan.faults(way, number).to_vec(),
            passed: 0,
            tail: Vec::new(),
            random: plan.seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            silent,
            generation: shared.generation.load(Ordering::SeqCst),
            shared,
        }
    }

    pub(super) fn run(mut self) {
        let mut buffer = vec![0; PIECE];
        loop {
            self.wait_while_silent();
            if self.is_over() {
                return;
            }
            let most = self.most_at_once();
            let read = self.from.read(&mut buffer[..most]);
            // Whoever lost the other end is not told of it.
            self.wait_while_silent();
            if self.is_over() {
                return;
            }
            match read {
                // The sender says no more; the other direction may go on.
                Ok(0) => {
                    let _ = self.to.shutdown(Shutdown::Write);
                    return;
                }
                Ok(read) => {
                    let piece = buffer[..read].to_vec();
                    if self.pass(piece) == Goes::Over {
                        return;
                    }
                }
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.close();
                    return;
                }
            }
        }
    }

    /// Passes a piece on: up to the next place where something happens, then the rest.
    fn pass(&mut self, mut piece: Vec<u8>) -> Goes {
        while !piece.is_empty() {
            self.wait_while_silent();
            if self.is_over() {
                return Goes::Over;
            }
            if let Some((length, how)) = self.ambush(&piece) {
                let rest = piece.split_off(length);
                // However quick the server is: no answer passes.
                self.silent.store(true, Ordering::SeqCst);
                if self.write(&piece) == Goes::Over
                    || self.happens(&Fault::Cut { after: After::Bytes(0), how }) == Goes::Over
                {
                    return Goes::Over;
                }
                piece = rest;
                continue;
            }
            let Some((length, fault)) = self.next_place(&piece) else {
                return self.write(&piece);
            };
            let rest = piece.split_off(length);
            if self.write(&piece) == Goes::Over {
                return Goes::Over;
            }
            self.faults.remove(fault.0);
            self.shared.faults.fetch_add(1, Ordering::SeqCst);
            if self.happens(&fault.1) == Goes::Over {
                return Goes::Over;
            }
            piece = rest;
        }
        Goes::On
    }

    /// How much of a piece passes before what lies in wait for its bytes; it waits no longer.
    fn ambush(&self, piece: &[u8]) -> Option<(usize, Cut)> {
        if self.way == Way::ToClient || !self.shared.waits.load(Ordering::SeqCst) {
            return None;
        }
        let mut waiting = self.shared.ambush.lock().unwrap_or_else(PoisonError::into_inner);
        let length = self.place(&After::Pattern(waiting.as_ref()?.0.clone()), piece)?;
        self.shared.waits.store(false, Ordering::SeqCst);
        self.shared.faults.fetch_add(1, Ordering::SeqCst);
        waiting.take().map(|(_, how)| (length, how))
    }

    /// The first place in a piece where something happens, once.
    fn next_place(&self, piece: &[u8]) -> Option<(usize, (usize, Fault))> {
        let places = self.faults.iter().enumerate().filter_map(|(index, fault)| {
            let (Fault::Stall { after, .. } | Fault::Cut { after, .. }) = fault else {
                return None;
            };
            Some((self.place(after, piece)?, (index, fault.clone())))
        });
        places.min_by_key(|(length, _)| *length)
    }

    /// How much of a piece passes before a place; `None` where the place is not in it.
    fn place(&self, after: &After, piece: &[u8]) -> Option<usize> {
        match after {
            After::Bytes(bytes) => {
                let left = usize::try_from(bytes.saturating_sub(self.passed)).ok()?;
                (left < piece.len() || (left == piece.len() && left > 0)).then_some(left)
            }
            After::Pattern(pattern) if pattern.is_empty() => Some(0),
            After::Pattern(pattern) => {
                let kept = self.tail.len().min(pattern.len() - 1);
                let mut seen = self.tail[self.tail.len() - kept..].to_vec();
                seen.extend_from_slice(piece);
                let at = seen.windows(pattern.len()).position(|window| window == pattern)?;
                Some(at + pattern.len() - kept)
            }
        }
    }

    fn happens(&mut self, fault: &Fault) -> Goes {
        match fault {
            Fault::Stall { lasts, .. } => self.rest(*lasts),
            Fault::Cut { how: Cut::Close, .. } => {
                self.close();
                return Goes::Over;
            }
            Fault::Cut { how: Cut::HalfClose, .. } => {
                let _ = self.to.shutdown(Shutdown::Write);
                return Goes::Over;
            }
            Fault::Cut { how: Cut::Silence, .. } => {
                self.silent.store(true, Ordering::SeqCst);
                self.wait_while_silent();
                return Goes::Over;
            }
            Fault::Cut { how: Cut::OneWaySilence, .. } => {
                self.rest(Duration::MAX);
                return Goes::Over;
            }
            Fault::Latency { .. }
            | Fault::Bandwidth(_)
            | Fault::Corrupt { .. }
            | Fault::Pieces(_) => {}
        }
        Goes::On
    }

    /// Writes bytes, later or changed where the plan says so.
    fn write(&mut self, bytes: &[u8]) -> Goes {
        if bytes.is_empty() {
            return Goes::On;
        }
        let mut bytes = bytes.to_vec();
        for fault in self.faults.clone() {
            match fault {
                Fault::Latency { least, jitter } => {
                    let more = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX);
                    let more = Duration::from_micros(self.below(more.saturating_add(1)));
                    self.rest(least + more);
                }
                Fault::Bandwidth(each_second) => {
                    let micros = bytes.len() as u64 * 1_000_000 / each_second.max(1);
                    self.rest(Duration::from_micros(micros));
                }
                Fault::Corrupt { one_in } => self.corrupt(&mut bytes, one_in),
                Fault::Stall { .. } | Fault::Cut { .. } | Fault::Pieces(_) => {}
            }
        }
        if self.to.write_all(&bytes).is_err() {
            self.close();
            return Goes::Over;
        }
        self.passed += bytes.len() as u64;
        self.tail.extend_from_slice(&bytes);
        let most = self.longest_pattern();
        self.tail.drain(..self.tail.len().saturating_sub(most));
        self.count().fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Goes::On
    }

    fn corrupt(&mut self, bytes: &mut [u8], one_in: u64) {
        for byte in bytes {
            if self.below(one_in.max(1)) == 0 {
                *byte ^= 1 << self.below(8);
                self.shared.faults.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn count(&self) -> &AtomicU64 {
        match self.way {
            Way::ToServer => &self.shared.to_server,
            Way::ToClient => &self.shared.to_client,
        }
    }

    fn longest_pattern(&self) -> usize {
        let lengths = self.faults.iter().map(|fault| match fault {
            Fault::Stall { after: After::Pattern(p), .. }
            | Fault::Cut { after: After::Pattern(p), .. } => p.len(),
            _ => 0,
        });
        lengths.max().unwrap_or(0)
    }

    fn most_at_once(&self) -> usize {
        let pieces = self.faults.iter().filter_map(|fault| match fault {
            Fault::Pieces(most) => Some((*most).max(1)),
            // So that a narrow line is narrow evenly.
            Fault::Bandwidth(each_second) => {
                Some(usize::try_from(each_second / 20).unwrap_or(PIECE).max(1))
            }
            _ => None,
        });
        pieces.min().unwrap_or(PIECE).min(PIECE)
    }

    fn close(&self) {
        // The other direction finds out by itself.
        let _ = self.from.shutdown(Shutdown::Both);
        let _ = self.to.shutdown(Shutdown::Both);
    }

    /// Whether the proxy goes, or this connection was broken.
    fn is_over(&self) -> bool {
        self.shared.stop.load(Ordering::SeqCst)
            || self.shared.generation.load(Ordering::SeqCst) != self.generation
    }

    /// Waits as long as nothing may pass: until the proxy speaks again, or goes.
    fn wait_while_silent(&self) {
        let silent =
            || self.shared.silent.load(Ordering::SeqCst) || self.silent.load(Ordering::SeqCst);
        while silent() && !self.is_over() {
            std::thread::sleep(LOOK_EACH);
        }
    }

    /// Sleeps in small pieces, so that the end of the proxy is heard.
    fn rest(&self, lasts: Duration) {
        let mut left = lasts;
        while !left.is_zero() && !self.is_over() {
            let piece = left.min(Duration::from_millis(50));
            std::thread::sleep(piece);
            left -= piece;
        }
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}
