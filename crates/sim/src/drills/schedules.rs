//! Schedules and time zones against a brute-force model (F42): nothing is skipped, nothing runs twice.
//!
//! Drill `schedules` takes one zone and two years a seed: first the zones that are known to hurt, then every zone of
//! the database, then every zone in earlier years. Drill `schedules-served` serves a schedule as an engine does:
//! looked at now and then, busy, down for days, crashed between start and memory, edited. The model
//! ([`model`]) walks minute after minute and shares nothing with `flow`.

mod model;
mod served;

use crate::drill::{Drill, Violation};
use crate::random::Random;
use chrono_tz::{TZ_VARIANTS, Tz};
use flow::{Schedule, ScheduleError};
use model::{EXPRESSIONS, MINUTE_US, Walk};

/// The invariant of this part.
const ONE_RUN: &str = "L one run for each slot";

/// Zones and the first of two years, each known for something.
const NAMED: &[(&str, i64)] = &[
    ("Australia/Lord_Howe", 2027),  // sets its clock by half an hour
    ("Pacific/Apia", 2011),         // has no 30 December 2011
    ("Africa/Casablanca", 2027),    // sets it back for Ramadan
    ("Antarctica/Troll", 2027),     // sets it by two hours
    ("Pacific/Chatham", 2027),      // 12:45 ahead, changes at 2:45
    ("America/Sao_Paulo", 2018),    // changed at midnight: some days have none
    ("Europe/Dublin", 2027),        // winter time is the exception there
    ("America/St_Johns", 2010),     // changed a minute after midnight
    ("Asia/Gaza", 2027),            // four changes in some years
    ("America/Scoresbysund", 2023), // moved to another zone and other rules in between
    ("Asia/Pyongyang", 2017),       // moved by half an hour
    ("Pacific/Fakaofo", 2011),      // skipped the same day, without daylight saving
];

/// Zones of the second drill.
const SERVED: &[(&str, i64)] = &[
    ("Europe/Berlin", 2027),
    ("Australia/Lord_Howe", 2027),
    ("America/New_York", 2027),
    ("Pacific/Apia", 2011),
    ("America/Sao_Paulo", 2018),
];

/// The drills of this part.
pub fn drills() -> Vec<Drill> {
    vec![
        Drill {
            name: "schedules",
            about: "cron and time zones against a model that walks every minute",
            seeds_in_ci: NAMED.len() as u64,
            run: one_zone,
        },
        Drill {
            name: "schedules-served",
            about: "what an engine runs of a schedule: down for days, busy, crashed, edited",
            seeds_in_ci: 200,
            run: served::run,
        },
    ]
}

/// How many seeds of `schedules` are all zones in the years 2027 and 2028.
pub fn all_zones() -> u64 {
    (NAMED.len() + TZ_VARIANTS.len()) as u64
}

/// Any text as an expression in any zone: read or refused, and what was read fires in order.
///
/// # Errors
/// A fire that is not behind the instant it was asked for, or two searches that do not agree.
pub fn any_text(bytes: &[u8]) -> Result<(), Violation> {
    let text = String::from_utf8_lossy(bytes);
    let (zone, expression) = text.split_once('\n').unwrap_or(("Europe/Berlin", &text));
    let schedule = match Schedule::parse(expression, zone) {
        Ok(schedule) => schedule,
        Err(ScheduleError::Cron(error)) if error.what.is_empty() || error.fix.is_empty() => {
            return Err(Violation::new(ONE_RUN, "an expression is refused without a word"));
        }
        Err(_) => return Ok(()),
    };
    let mut at = 1_700_000_000_000_000;
    for _ in 0..20 {
        let Some(next) = schedule.next_after(at) else { break };
        if next <= at || schedule.last_before(next).is_some_and(|before| before > at) {
            return Err(Violation::new(ONE_RUN, format!("after {at} comes {next}: {expression}")));
        }
        at = next;
    }
    Ok(())
}

fn one_zone(seed: u64) -> Result<(), Violation> {
    let (zone, year) = place(seed);
    let (from, upto) = (model::first_of(year), model::first_of(year + 2));
    let walk = Walk::over(zone, from, upto);
    let mut chance = Random::new(seed);
    for (place, expression) in EXPRESSIONS.iter().enumerate() {
        let wrong = |what: String| {
            let about = format!("`{}` in {zone}, {year} and {}", expression.text, year + 1);
            Violation::new(ONE_RUN, format!("{about}: {what}"))
        };
        let schedule = Schedule::parse(expression.text, zone.name())
            .map_err(|e| wrong(format!("it is not read: {e:?}")))?;
        agrees(&schedule, &walk, place, &mut chance).map_err(wrong)?;
    }
    Ok(())
}

/// The zone and the first year of a seed.
fn place(seed: u64) -> (Tz, i64) {
    let seed = usize::try_from(seed).expect("a seed that counts zones");
    if let Some((zone, year)) = NAMED.get(seed) {
        return (zone.parse().expect("a zone of the list"), *year);
    }
    let number = seed - NAMED.len();
    let earlier = i64::try_from(number / TZ_VARIANTS.len() % 24).expect("below 24");
    (TZ_VARIANTS[number % TZ_VARIANTS.len()], 2027 - 2 * earlier)
}

/// Every fire of the model, from one to the next and back; of an expression that fires all the time those within
/// hours of a change of the clock and every 397th elsewhere.
fn agrees(
    schedule: &Schedule,
    walk: &Walk,
    place: usize,
    chance: &mut Random,
) -> Result<(), String> {
    let fires = &walk.fires[place];
    let dense = fires.len() > 1_000;
    let mut before = walk.from;
    for (n, &fire) in fires.iter().enumerate() {
        if !dense || n % 397 == 0 || walk.is_near_change(fire) {
            expect("after", before, schedule.next_after(before), fire)?;
            if n > 0 {
                expect("before", fire, schedule.last_before(fire), before)?;
            }
        }
        before = fire;
    }
    // Nothing between the last fire and the end.
    if let Some(next) = schedule.next_after(before).filter(|next| *next <= walk.upto) {
        return Err(format!("a fire at {} that the model has not", instant(next)));
    }
    for _ in 0..10 {
        let minutes = u64::try_from((walk.upto - walk.from) / MINUTE_US).expect("a length");
        let at = walk.from + i64::try_from(chance.below(minutes)).expect("minutes") * MINUTE_US
            - i64::try_from(chance.below(3)).expect("below 3");
        let next = fires.partition_point(|fire| *fire <= at);
        if let Some(&fire) = fires.get(next) {
            expect("after", at, schedule.next_after(at), fire)?;
        }
        let passed = fires.partition_point(|fire| *fire < at);
        if passed > 0 {
            expect("before", at, schedule.last_before(at), fires[passed - 1])?;
        }
    }
    Ok(())
}

fn expect(side: &str, at: i64, found: Option<i64>, fire: i64) -> Result<(), String> {
    if found == Some(fire) {
        return Ok(());
    }
    let found = found.map_or("nothing".into(), instant);
    Err(format!("{side} {} comes {found}, it should be {}", instant(at), instant(fire)))
}

fn instant(us: i64) -> String {
    chrono::DateTime::from_timestamp_micros(us).map_or_else(|| us.to_string(), |t| t.to_string())
}
