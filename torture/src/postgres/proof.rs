//! `postgres-proof`: the target is proved again and again while the bank works at full rate and the target's server comes
//! and goes. A proof never cries wolf, never holds up the flow, holds no snapshot of the source for long; and it names
//! a row that was damaged, that row alone, and mends it.

use super::audit::{arrive, audit};
use super::bank::Bank;
use super::damage::{ALL, QUIET};
use super::harm::Harm;
use super::pair::{FLOW, Pair};
use super::witness::Witness;
use crate::options::Options;
use crate::outcome::Outcome;
use crate::random::Random;
use crate::seamount::{Running, Said};
use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The longest that a snapshot of the source may be held.
const LONGEST_SNAPSHOT: f64 = 5.0;

/// The target's server is away for no longer.
const LONGEST_OUTAGE: Duration = Duration::from_secs(300);

/// Rows of a leaf, in which checks are counted.
const LEAF: u64 = 1_024;

/// Runs it.
///
/// # Errors
/// What did not hold.
pub(crate) fn run(options: &Options) -> Result<Outcome> {
    if let Some(missing) = super::missing() {
        return Ok(missing);
    }
    let lasts = match options.in_small {
        true => Duration::from_secs(8),
        false => Duration::from_secs(options.minutes.unwrap_or(30) * 60),
    };
    let damages = if options.in_small { 1 } else { options.cycles.unwrap_or(10) };
    Stage::with(|stage| {
        let pair = Pair::build(&stage.path("pair"), &options.seamount)?;
        pair.source.connect()?.batch_execute(QUIET).context("quiet rows")?;
        pair.first_load()?;
        let bank = Bank::open(&pair.source.url(), options.seed, Duration::from_millis(1));
        let witness = Witness::start(&pair.target.url());
        let (service, _) = pair.seamount.serve(&[])?;
        let harm = Harm::watch(&pair.source)?;
        let chance = Random::part(options.seed, "proof");
        let drill =
            Drill { pair: &pair, bank, witness, service, harm, chance, seen: Seen::default() };
        drill.go(lasts, damages).map(Outcome::Held)
    })
}

/// What proofs have said.
#[derive(Default)]
struct Seen {
    equal: u64,
    rows: u64,
    /// How often each reason was given for UNPROVEN.
    unproven: BTreeMap<String, u64>,
    away: u64,
}

struct Drill<'a> {
    pair: &'a Pair,
    bank: Bank,
    witness: Witness,
    service: Running,
    harm: Harm,
    chance: Random,
    seen: Seen,
}

impl Drill<'_> {
    fn go(mut self, lasts: Duration, damages: u64) -> Result<String> {
        let (began, made) = (Instant::now(), self.bank.made());
        let mut away = 0;
        while began.elapsed() < lasts {
            let outage = Duration::from_millis(self.chance.between(500, 1_000)).max(
                (lasts / 12)
                    .min(LONGEST_OUTAGE)
                    .mul_f64(self.chance.between(1, 100) as f64 / 100.0),
            );
            let until = began.elapsed() + lasts / 6;
            while began.elapsed() < until.min(lasts) {
                self.prove()?;
            }
            self.without_a_target(outage)?;
            away += 1;
        }
        self.catch_up(lasts)?;
        let seconds = began.elapsed().as_secs_f64();
        let rate = (self.bank.made() - made) as f64 / seconds;
        for round in 0..damages {
            for damage in ALL {
                self.damage(damage).with_context(|| format!("round {round}"))?;
            }
        }
        self.bank.close()?;
        let Drill { pair, bank, mut witness, mut service, harm, seen, .. } = self;
        arrive(pair, &mut service, &mut witness, Duration::from_secs(120) + lasts)?;
        let harm = harm.figures()?;
        let audited = audit(pair, service, &bank)?;
        if harm.snapshot > LONGEST_SNAPSHOT {
            bail!("a snapshot of the source was held for {:.1} s", harm.snapshot);
        }
        if seen.equal == 0 {
            bail!("no proof was made: {:?}", seen.unproven);
        }
        Ok(format!(
            "{seconds:.0} s at {rate:.0} transactions/s, target away {away} times: {} proofs EQUAL over {} rows ({} leaves of {LEAF}), \
             0 false alarms, UNPROVEN {:?}, {} asked without a target; {} damages each named alone, with its kind, and mended; \
             longest snapshot {:.2} s, probe p99 {:.2} ms without and {:.2} ms with a proof; {} rows equal in the end",
            seen.equal,
            seen.rows,
            seen.rows / LEAF,
            seen.unproven,
            seen.away,
            damages * ALL.len() as u64,
            harm.snapshot,
            harm.p99[0],
            harm.p99[1],
            audited.rows,
        ))
    }

    /// Asks for a proof while all is there.
    fn prove(&mut self) -> Result<()> {
        self.look()?;
        let before = self.witness.seen();
        let said = self.ask(&["reconcile", FLOW])?;
        match said.code {
            Some(0) if said.summary("verdict") == "EQUAL" => {
                self.seen.equal += 1;
                self.seen.rows +=
                    said.objects("table").filter_map(|t| t["rows"].as_u64()).sum::<u64>();
            }
            Some(3) => {
                for reason in said.objects("table").filter_map(|t| t["reason"].as_str()) {
                    *self.seen.unproven.entry(reason.to_string()).or_default() += 1;
                }
            }
            _ => {
                bail!("a proof that should be EQUAL: {} {:?}", said.complaint(), differences(&said))
            }
        }
        if said.took > Duration::from_secs(2) && self.witness.seen() == before {
            bail!("nothing was applied during a proof of {:?}", said.took);
        }
        // Probes without a proof are wanted too.
        std::thread::sleep(said.took.min(Duration::from_millis(500)));
        Ok(())
    }

    /// The target's server goes, and comes back: meanwhile no proof says EQUAL, nor DIFFERENT.
    fn without_a_target(&mut self, lasts: Duration) -> Result<()> {
        self.pair.target.server.crash()?;
        let began = Instant::now();
        let said = self.ask(&["reconcile", FLOW])?;
        if matches!(said.code, Some(0 | 2)) {
            bail!("a proof without a target: {}", said.complaint());
        }
        self.seen.away += 1;
        while began.elapsed() < lasts {
            self.look()?;
            std::thread::sleep(Duration::from_millis(50));
        }
        self.pair.target.server.resume()
    }

    fn catch_up(&mut self, lasts: Duration) -> Result<()> {
        let due = self.bank.answered();
        let began = Instant::now();
        while !self.witness.has_seen(&due) {
            self.look()?;
            if began.elapsed() > Duration::from_secs(120) + lasts {
                bail!("the target does not catch up: {}", self.service.words());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn damage(&mut self, damage: super::damage::Damage) -> Result<()> {
        let key = damage.done_to(self.pair, &mut self.chance)?;
        let said = self.ask(&["diff", FLOW])?;
        if said.code != Some(2) {
            bail!("{damage:?} of item {key:?} is not found: {}", said.complaint());
        }
        damage.must_be_all_of(&differences(&said), key)?;
        let said = self.ask(&["reconcile", FLOW, "--repair"])?;
        if said.code != Some(0) || said.summary("repaired") != 1 {
            bail!("{damage:?} of item {key:?} is not mended: {}", said.complaint());
        }
        self.look()
    }

    fn ask(&self, words: &[&str]) -> Result<Said> {
        self.harm.proving(true);
        let said = self.pair.seamount.run(words);
        self.harm.proving(false);
        said
    }

    fn look(&mut self) -> Result<()> {
        self.bank.must_live()?;
        self.witness.has_seen_nothing_wrong()?;
        self.service.must_live()
    }
}

fn differences(said: &Said) -> Vec<&serde_json::Value> {
    said.objects("difference").collect()
}
