//! What an expression means in a zone, by walking: minute after minute of UTC, turned into local time by the zone
//! database, with a calendar of its own. Knows nothing of `flow`, and searches nothing. The database is asked once an
//! hour where the hour ends as it begins: no zone sets its clock there and back within one.
//!
//! Local time has a highest point so far. A minute is new when it lies above it: a jump over a gap brings all minutes
//! of the gap at once, at the first instant behind it, and a repeated hour brings none.

use chrono::{DateTime, Offset, TimeZone, Utc};
use chrono_tz::Tz;

/// A minute in microseconds.
pub(super) const MINUTE_US: i64 = 60_000_000;

const MINUTES_A_DAY: i64 = 1440;
/// Hours around a change of the clock in which every fire is looked at.
const NEAR_HOURS: i64 = 8;

/// A local day: day of month, month, weekday from Sunday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) day: u32,
    pub(super) month: u32,
    pub(super) weekday: u32,
}

/// An expression, and what it means, said a second time.
pub(super) struct Expression {
    pub(super) text: &'static str,
    minute: fn(u32) -> bool,
    hour: fn(u32) -> bool,
    day: fn(Day) -> bool,
}

const fn means(
    text: &'static str,
    minute: fn(u32) -> bool,
    hour: fn(u32) -> bool,
    day: fn(Day) -> bool,
) -> Expression {
    Expression { text, minute, hour, day }
}

/// The expressions that are walked.
pub(super) const EXPRESSIONS: &[Expression] = &[
    means("* * * * *", |_| true, |_| true, |_| true),
    means("*/15 * * * *", |m| m % 15 == 0, |_| true, |_| true),
    means("*/7 * * * *", |m| m % 7 == 0, |_| true, |_| true),
    means("7-59/13 * * * *", |m| [7, 20, 33, 46, 59].contains(&m), |_| true, |_| true),
    means("0,30 * * * *", |m| m == 0 || m == 30, |_| true, |_| true),
    means("@hourly", |m| m == 0, |_| true, |_| true),
    means("59 * * * *", |m| m == 59, |_| true, |_| true),
    means("0 */2 * * *", |m| m == 0, |h| h % 2 == 0, |_| true),
    means("0 1-23/2 * * *", |m| m == 0, |h| h % 2 == 1, |_| true),
    means("0 0-6/2 * * *", |m| m == 0, |h| [0, 2, 4, 6].contains(&h), |_| true),
    means("*/20 1-3 * * *", |m| m % 20 == 0, |h| (1..=3).contains(&h), |_| true),
    means("@daily", |m| m == 0, |h| h == 0, |_| true),
    means("@midnight", |m| m == 0, |h| h == 0, |_| true),
    means("1 0 * * *", |m| m == 1, |h| h == 0, |_| true),
    means("0 1 * * *", |m| m == 0, |h| h == 1, |_| true),
    means("30 1 * * *", |m| m == 30, |h| h == 1, |_| true),
    means("0 2 * * *", |m| m == 0, |h| h == 2, |_| true),
    means("30 2 * * *", |m| m == 30, |h| h == 2, |_| true),
    means("15,45 2 * * *", |m| m == 15 || m == 45, |h| h == 2, |_| true),
    means("0 3 * * *", |m| m == 0, |h| h == 3, |_| true),
    means("45 2,3 * * *", |m| m == 45, |h| h == 2 || h == 3, |_| true),
    means("59 23 * * *", |m| m == 59, |h| h == 23, |_| true),
    means("@weekly", |m| m == 0, |h| h == 0, |d| d.weekday == 0),
    means("30 2 * * 7", |m| m == 30, |h| h == 2, |d| d.weekday == 0),
    means("0 5 * * 1-5", |m| m == 0, |h| h == 5, |d| (1..=5).contains(&d.weekday)),
    means("0 5 * * SUN,3", |m| m == 0, |h| h == 5, |d| d.weekday == 0 || d.weekday == 3),
    means("0 5 * * 5-7", |m| m == 0, |h| h == 5, |d| [5, 6, 0].contains(&d.weekday)),
    means("0 2 * * */3", |m| m == 0, |h| h == 2, |d| d.weekday % 3 == 0),
    means("@monthly", |m| m == 0, |h| h == 0, |d| d.day == 1),
    means("0 2 31 * *", |m| m == 0, |h| h == 2, |d| d.day == 31),
    means("0 2 29-31 * *", |m| m == 0, |h| h == 2, |d| d.day >= 29),
    means("30 12 30 12 *", |m| m == 30, |h| h == 12, |d| (d.day, d.month) == (30, 12)),
    means("0 12 29 feb *", |m| m == 0, |h| h == 12, |d| (d.day, d.month) == (29, 2)),
    means("@yearly", |m| m == 0, |h| h == 0, |d| (d.day, d.month) == (1, 1)),
    // Either day field where both are said, both where one begins with a star.
    means("0 5 13 * 5", |m| m == 0, |h| h == 5, |d| d.day == 13 || d.weekday == 5),
    means("0 2 1,15 * MON", |m| m == 0, |h| h == 2, |d| [1, 15].contains(&d.day) || d.weekday == 1),
    means("0 5 */2 * 1", |m| m == 0, |h| h == 5, |d| d.day % 2 == 1 && d.weekday == 1),
    means("0 2 1-7 * */7", |m| m == 0, |h| h == 2, |d| d.day <= 7 && d.weekday == 0),
    means(
        "5/20 22 1-10 mar-oct *",
        |m| [5, 25, 45].contains(&m),
        |h| h == 22,
        |d| d.day <= 10 && (3..=10).contains(&d.month),
    ),
    means(
        "*/30 0-4 * 3,4,9-11 0,6",
        |m| m % 30 == 0,
        |h| h <= 4,
        |d| [3, 4, 9, 10, 11].contains(&d.month) && (d.weekday == 0 || d.weekday == 6),
    ),
];

/// The fires of every expression in a zone, and where its clock was set.
pub(super) struct Walk {
    pub(super) from: i64,
    pub(super) upto: i64,
    /// Fires of each expression behind `from`, up to and with `upto`.
    pub(super) fires: Vec<Vec<i64>>,
    changes: Vec<i64>,
}

impl Walk {
    /// Walks through a stretch of time, both ends on whole minutes.
    pub(super) fn over(zone: Tz, from: i64, upto: i64) -> Walk {
        let masks = Masks::default();
        let mut walk = Walk { from, upto, fires: vec![vec![]; EXPRESSIONS.len()], changes: vec![] };
        let mut before = local_minute(zone, from);
        let mut highest = before;
        let mut today = (i64::MIN, 0);
        let mut clock = Clock { zone, hour: i64::MIN, ahead: None };
        for minute in from / MINUTE_US + 1..=upto / MINUTE_US {
            let us = minute * MINUTE_US;
            let now = clock.local_minute(minute);
            if now != before + 1 {
                walk.changes.push(us);
            }
            before = now;
            let mut due = 0u64;
            while highest < now {
                highest += 1;
                let number = highest.div_euclid(MINUTES_A_DAY);
                if today.0 != number {
                    today = (number, masks.of_day(day_of(number)));
                }
                due |= today.1 & masks.of_time(highest.rem_euclid(MINUTES_A_DAY));
            }
            while due != 0 {
                walk.fires[due.trailing_zeros() as usize].push(us);
                due &= due - 1;
            }
        }
        walk
    }

    /// Whether a clock was set around an instant.
    pub(super) fn is_near_change(&self, us: i64) -> bool {
        let near = NEAR_HOURS * 60 * MINUTE_US;
        let next = self.changes.partition_point(|change| *change < us - near);
        self.changes.get(next).is_some_and(|change| *change <= us + near)
    }
}

/// A zone's clock, asked as seldom as can be.
struct Clock {
    zone: Tz,
    hour: i64,
    /// How far ahead of UTC it is during the whole hour; `None` where it is set within.
    ahead: Option<i64>,
}

impl Clock {
    fn local_minute(&mut self, minute: i64) -> i64 {
        let hour = minute.div_euclid(60);
        if hour != self.hour {
            let ahead = |minute| local_minute(self.zone, minute * MINUTE_US) - minute;
            let (begin, end) = (ahead(hour * 60), ahead(hour * 60 + 59));
            (self.hour, self.ahead) = (hour, Some(begin).filter(|begin| *begin == end));
        }
        match self.ahead {
            Some(ahead) => minute + ahead,
            None => local_minute(self.zone, minute * MINUTE_US),
        }
    }
}

/// Which expressions match, one bit for each.
struct Masks {
    times: Vec<u64>,
}

impl Default for Masks {
    fn default() -> Self {
        let times = (0..1440u32).map(|time| mask(|e| (e.minute)(time % 60) && (e.hour)(time / 60)));
        Masks { times: times.collect() }
    }
}

impl Masks {
    fn of_time(&self, minute_of_day: i64) -> u64 {
        self.times[usize::try_from(minute_of_day).expect("a remainder")]
    }

    fn of_day(&self, day: Day) -> u64 {
        mask(|e| (e.day)(day))
    }
}

fn mask(matches: impl Fn(&Expression) -> bool) -> u64 {
    let bits = EXPRESSIONS.iter().enumerate();
    bits.filter(|(_, e)| matches(e)).fold(0, |mask, (bit, _)| mask | 1 << bit)
}

/// Minutes of local time since 1970-01-01 00:00 of the zone's calendar.
fn local_minute(zone: Tz, us: i64) -> i64 {
    let utc = DateTime::<Utc>::from_timestamp_micros(us).expect("years of our time").naive_utc();
    let offset = zone.offset_from_utc_datetime(&utc).fix().local_minus_utc();
    (us / MINUTE_US * 60 + i64::from(offset)).div_euclid(60)
}

/// The first instant of a year in UTC.
pub(super) fn first_of(year: i64) -> i64 {
    (0..).find(|day| year_of(*day) == year).expect("a year behind 1970") * MINUTES_A_DAY * MINUTE_US
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn year_and_rest(day: i64) -> (i64, i64) {
    let (mut year, mut rest) = (1970, day);
    loop {
        let days = if is_leap(year) { 366 } else { 365 };
        if rest < days {
            return (year, rest);
        }
        rest -= days;
        year += 1;
    }
}

fn year_of(day: i64) -> i64 {
    year_and_rest(day).0
}

/// The day of a number, counted from 1970-01-01, a Thursday.
fn day_of(number: i64) -> Day {
    let (year, mut rest) = year_and_rest(number);
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for days in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if rest < days {
            break;
        }
        rest -= days;
        month += 1;
    }
    let day = u32::try_from(rest + 1).expect("a day of a month");
    Day { day, month, weekday: u32::try_from((number + 4).rem_euclid(7)).expect("below 7") }
}
