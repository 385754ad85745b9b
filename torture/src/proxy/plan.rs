//! What a proxy does to a connection, decided before it begins.

use std::time::Duration;

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// When a fault happens, counted in one direction of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum After {
    /// Behind so many bytes.
    Bytes(u64),
    /// Behind the first occurrence of these bytes, which pass: after `COMMIT` was sent, before it is answered.
    Pattern(Vec<u8>),
}

/// How a connection is cut. A close is an orderly one; whoever writes on is answered by a reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Both sides are told at once that it is over.
    #[default]
    Close,
    /// The receiver is told that no more comes; the other direction goes on.
    HalfClose,
    /// Nothing passes any more in either direction, and nobody is told: a partition, a router that forgot.
    Silence,
    /// Nothing passes any more in this direction, and nobody is told; the other one goes on.
    OneWaySilence,
}

/// One thing that goes wrong in a direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every piece comes later by this, give or take up to `jitter`.
    Latency {
        /// The least.
        least: Duration,
        /// At most so much more, by the seed.
        jitter: Duration,
    },
    /// At most so many bytes a second pass.
    Bandwidth(u64),
    /// At this place nothing passes for a while, then everything.
    Stall {
        /// Where.
        after: After,
        /// How long.
        lasts: Duration,
    },
    /// At this place the connection is cut.
    Cut {
        /// Where. Bytes behind it do not pass.
        after: After,
        /// How.
        how: Cut,
    },
    /// One bit in about so many bytes is another one.
    Corrupt {
        /// Bytes to a wrong bit, by the seed.
        one_in: u64,
    },
    /// Bytes pass in pieces of at most so many: readers that take a piece for a message break.
    Pieces(usize),
}

/// What happens to connections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Decides jitter and corruption.
    pub seed: u64,
    /// What happens to what the client sends.
    pub to_server: Vec<Fault>,
    /// What happens to what the server sends.
    pub to_client: Vec<Fault>,
    /// Only these connections fail, counted from 0; all of them where none is named.
    pub only: Vec<u64>,
}

impl Plan {
    /// The faults of one direction of a connection.
    pub(super) fn faults(&self, way: Way, number: u64) -> &[Fault] {
        if !self.only.is_empty() && !self.only.contains(&number) {
            return &[];
        }
        match way {
            Way::ToServer => &self.to_server,
            Way::ToClient => &self.to_client,
        }
    }

    /// A plan that a seed chose: something of everything, for a test that only must come to a right end.
    pub fn by_seed(seed: u64) -> Plan {
        let mut state = seed;
        let mut below = move |bound: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % bound
        };
        let mut faults = || {
            let ms = Duration::from_millis;
            let after = After::Bytes(below(20_000));
            match below(9) {
                0 => vec![Fault::Latency { least: ms(below(20)), jitter: ms(below(50)) }],
                1 => vec![Fault::Bandwidth(2_000 + below(200_000))],
                2 => vec![Fault::Stall { after, lasts: ms(200 + below(2_000)) }],
                3 => vec![Fault::Cut { after, how: Cut::Close }],
                4 => vec![Fault::Cut { after, how: Cut::HalfClose }],
                5 => vec![Fault::Cut { after, how: Cut::Silence }],
                6 => vec![Fault::Cut { after, how: Cut::OneWaySilence }],
                7 => vec![Fault::Pieces(1 + below(7) as usize)],
                _ => Vec::new(),
            }
        };
        let (to_server, to_client) = (faults(), faults());
        // Later connections are good ones: whoever tries again comes to an end.
        Plan { seed, to_server, to_client, only: vec![0, 1] }
    }
}
