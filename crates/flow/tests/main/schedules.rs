//! Schedules against a model that walks through every minute of a year.

use chrono::{DateTime, Datelike, Duration, NaiveDateTime, Timelike, Utc};
use chrono_tz::Tz;
use seamount_flow::{CatchUp, Schedule, ScheduleError, Served};
use std::str::FromStr;

const MINUTE_US: i64 = 60_000_000;

/// A local minute, taken apart.
#[derive(Clone, Copy)]
struct Minute {
    minute: u32,
    hour: u32,
    day: u32,
    month: u32,
    weekday: u32,
}

impl Minute {
    fn of(t: NaiveDateTime) -> Minute {
        Minute {
            minute: t.minute(),
            hour: t.hour(),
            day: t.day(),
            month: t.month(),
            weekday: t.weekday().num_days_from_sunday(),
        }
    }
}

/// What an expression means, said a second time.
type Model = fn(&Minute) -> bool;

const EXPRESSIONS: &[(&str, Model)] = &[
    ("0 1 * * *", |t| t.minute == 0 && t.hour == 1),
    ("30 2 * * *", |t| t.minute == 30 && t.hour == 2),
    ("0 3 * * *", |t| t.minute == 0 && t.hour == 3),
    ("15,45 2 * * *", |t| matches!(t.minute, 15 | 45) && t.hour == 2),
    ("* * * * *", |_| true),
    ("*/15 * * * *", |t| t.minute % 15 == 0),
    ("7-59/13 * * * *", |t| t.minute >= 7 && (t.minute - 7) % 13 == 0),
    ("@hourly", |t| t.minute == 0),
    ("@daily", |t| t.minute == 0 && t.hour == 0),
    ("@weekly", |t| t.minute == 0 && t.hour == 0 && t.weekday == 0),
    ("@monthly", |t| t.minute == 0 && t.hour == 0 && t.day == 1),
    ("@yearly", |t| t.minute == 0 && t.hour == 0 && t.day == 1 && t.month == 1),
    ("0 0-6/2 * * *", |t| t.minute == 0 && t.hour <= 6 && t.hour % 2 == 0),
    ("0 5 * * 1-5", |t| t.minute == 0 && t.hour == 5 && (1..=5).contains(&t.weekday)),
    ("0 5 * * SUN,3", |t| t.minute == 0 && t.hour == 5 && matches!(t.weekday, 0 | 3)),
    ("0 5 * * 5-7", |t| t.minute == 0 && t.hour == 5 && matches!(t.weekday, 0 | 5 | 6)),
    ("0 5 13 * 5", |t| t.minute == 0 && t.hour == 5 && (t.day == 13 || t.weekday == 5)),
    ("0 5 */2 * 1", |t| t.minute == 0 && t.hour == 5 && t.day % 2 == 1 && t.weekday == 1),
    ("59 23 31 * *", |t| t.minute == 59 && t.hour == 23 && t.day == 31),
    ("0 12 29 feb *", |t| t.minute == 0 && t.hour == 12 && t.day == 29 && t.month == 2),
    ("5/20 22 1-10 mar-oct *", |t| {
        matches!(t.minute, 5 | 25 | 45)
            && t.hour == 22
            && t.day <= 10
            && (3..=10).contains(&t.month)
    }),
];

/// A stretch of time in a zone: for each minute of UTC, the local minutes that are new with it. Local time has a
/// highest point so far: a minute is new when it lies above it, so a jump over a gap brings all minutes of the gap
/// at once, and a repeated hour brings none.
struct Walk {
    fresh: Vec<(i64, Vec<Minute>)>,
    /// Where the clock was set.
    changes: Vec<i64>,
}

fn walk(zone: Tz, from: i64, upto: i64) -> Walk {
    let local = |us: i64| {
        DateTime::<Utc>::from_timestamp_micros(us).unwrap().with_timezone(&zone).naive_local()
    };
    let (mut highest, mut before) = (local(from), local(from));
    let mut walk = Walk { fresh: vec![], changes: vec![] };
    for us in (from + MINUTE_US..=upto).step_by(usize::try_from(MINUTE_US).unwrap()) {
        let now = local(us);
        if now - before != Duration::minutes(1) {
            walk.changes.push(us);
        }
        before = now;
        let mut minutes = Vec::new();
        while highest < now {
            highest += Duration::minutes(1);
            minutes.push(Minute::of(highest));
        }
        walk.fresh.push((us, minutes));
    }
    walk
}

fn us(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

/// Every fire of the model is compared; of expressions that fire all the time every fiftieth, and all within six
/// hours of a change of the clock.
fn check_zone(zone: &str, from: &str, upto: &str) {
    let (from, upto) = (us(from), us(upto));
    let walk = walk(zone.parse().unwrap(), from, upto);
    assert!(zone == "UTC" || !walk.changes.is_empty(), "{zone} never changes its clock here");
    for (expression, model) in EXPRESSIONS {
        let schedule = Schedule::parse(expression, zone).unwrap();
        let new = |fresh: &&(i64, Vec<Minute>)| fresh.1.iter().any(model);
        let expected: Vec<i64> = walk.fresh.iter().filter(new).map(|(us, _)| *us).collect();
        let near =
            |fire: i64| walk.changes.iter().any(|change| (fire - change).abs() < 360 * MINUTE_US);
        for n in 0..expected.len() {
            let fire = expected[n];
            if expected.len() > 2_000 && n % 50 != 0 && !near(fire) {
                continue;
            }
            let before = if n == 0 { from } else { expected[n - 1] };
            assert_eq!(
                schedule.next_after(before),
                Some(fire),
                "{expression} {zone} after {before}"
            );
            assert_eq!(schedule.next_after(fire - 1), Some(fire), "{expression} {zone}");
            if n > 0 {
                assert_eq!(
                    schedule.last_before(fire),
                    Some(before),
                    "{expression} {zone} before {fire}"
                );
            }
        }
    }
}

#[test]
fn berlin_agrees_with_the_model() {
    check_zone("Europe/Berlin", "2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z");
}

#[test]
fn new_york_agrees_with_the_model() {
    check_zone("America/New_York", "2027-10-20T00:00:00Z", "2028-04-10T00:00:00Z");
}

#[test]
fn half_hour_steps_gaps_at_midnight_and_a_skipped_day_agree_with_the_model() {
    check_zone("Australia/Lord_Howe", "2026-03-20T00:00:00Z", "2026-10-20T00:00:00Z");
    check_zone("America/Sao_Paulo", "2018-10-20T00:00:00Z", "2019-03-01T00:00:00Z");
    check_zone("America/St_Johns", "2010-10-20T00:00:00Z", "2010-11-20T00:00:00Z");
    check_zone("Pacific/Apia", "2011-12-20T00:00:00Z", "2012-01-10T00:00:00Z");
    check_zone("UTC", "2028-02-01T00:00:00Z", "2028-04-01T00:00:00Z");
}

#[test]
fn a_skipped_hour_runs_once_behind_the_gap_and_a_repeated_one_once() {
    let schedule = Schedule::parse("30 2 * * *", "Europe/Berlin").unwrap();
    // 29 March 2026: 02:00 becomes 03:00 at 01:00Z.
    assert_eq!(schedule.next_after(us("2026-03-28T12:00:00Z")), Some(us("2026-03-29T01:00:00Z")));
    assert_eq!(schedule.next_after(us("2026-03-29T01:00:00Z")), Some(us("2026-03-30T00:30:00Z")));
    // 25 October 2026: 03:00 becomes 02:00 at 01:00Z; 02:30 comes at 00:30Z and at 01:30Z.
    assert_eq!(schedule.next_after(us("2026-10-24T12:00:00Z")), Some(us("2026-10-25T00:30:00Z")));
    assert_eq!(schedule.next_after(us("2026-10-25T00:30:00Z")), Some(us("2026-10-26T01:30:00Z")));
}

#[test]
fn intervals_follow_each_other_without_hole_or_overlap() {
    let schedule = Schedule::parse("*/20 * * * *", "Europe/Berlin").unwrap();
    let mut fire = us("2026-10-24T22:00:00Z");
    for _ in 0..40 {
        let next = schedule.next_after(fire).unwrap();
        let interval = schedule.interval(next).unwrap();
        assert_eq!((interval.from_us, interval.upto_us), (fire, next));
        fire = next;
    }
}

#[test]
fn missed_runs_are_made_up_for_as_asked() {
    let schedule = Schedule::parse("@daily", "UTC").unwrap();
    let (last_us, now) = (us("2026-05-01T00:00:00Z"), us("2026-05-04T12:00:00Z"));
    let days = ["2026-05-02T00:00:00Z", "2026-05-03T00:00:00Z", "2026-05-04T00:00:00Z"].map(us);
    let served = Served { last_us, since_us: now };
    assert_eq!(schedule.due(served, now, CatchUp::All), Some(days[0]));
    assert_eq!(schedule.due(served, now, CatchUp::Latest), Some(days[2]));
    assert_eq!(schedule.due(served, now, CatchUp::None), None);
    let nothing = Served { last_us: now, since_us: last_us };
    for catch_up in [CatchUp::All, CatchUp::Latest, CatchUp::None] {
        assert_eq!(schedule.due(nothing, now, catch_up), None);
        let looking = Served { last_us, since_us: last_us };
        let due = schedule.due(looking, days[0], catch_up);
        assert_eq!(due, Some(days[0]), "a fire is due at its instant");
    }
}

/// `catch_up = "none"` once meant that a schedule never fired at all.
#[test]
fn without_catching_up_regular_fires_still_run() {
    let schedule = Schedule::parse("@daily", "UTC").unwrap();
    let served =
        Served { last_us: us("2026-05-01T00:00:00Z"), since_us: us("2026-05-03T08:00:00Z") };
    let next = us("2026-05-04T00:00:00Z");
    assert_eq!(schedule.due(served, next - 1, CatchUp::None), None);
    assert_eq!(schedule.due(served, next + 100_000, CatchUp::None), Some(next));
}

#[test]
fn the_ends_of_the_calendar_are_no_trap() {
    let schedule = Schedule::parse("@daily", "Asia/Tokyo").unwrap();
    for us in [i64::MIN, i64::MAX, i64::MIN / 2, 8_210_266_876_799_999_999] {
        let _ = schedule.next_after(us);
        let _ = schedule.last_before(us);
    }
    assert_eq!(Schedule::parse("0 0 30 2 *", "UTC"), Err(ScheduleError::Never));
    assert!(matches!(Schedule::parse("0 0 1 * *", "Mars/Base"), Err(ScheduleError::Zone(_))));
}

#[test]
fn another_implementation_matches_the_same_minutes() {
    let from = us("2026-06-01T00:00:00Z");
    // It joins day and weekday in another way, and takes no step behind a single number.
    let other = ["0 5 */2 * 1", "0 5 13 * 5", "5/20 22 1-10 mar-oct *"];
    for (expression, _) in EXPRESSIONS.iter().filter(|(e, _)| !other.contains(e)) {
        let theirs = croner::Cron::from_str(expression).unwrap();
        let ours = Schedule::parse(expression, "UTC").unwrap();
        let mut at = from;
        for _ in 0..50 {
            let next = ours.next_after(at).unwrap();
            let start = DateTime::<Utc>::from_timestamp_micros(at).unwrap();
            let other = theirs.find_next_occurrence(&start, false).unwrap();
            assert_eq!(next, other.timestamp_micros(), "{expression}");
            at = next;
        }
    }
}

#[test]
fn what_other_schedulers_write_is_refused_with_its_translation() {
    let fix = |text: &str| match Schedule::parse(text, "UTC") {
        Err(ScheduleError::Cron(error)) => (error.foreign, error.fix),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(fix("0 30 1 * * ?"), (true, "schedule = \"30 1 * * *\"".into()));
    assert_eq!(fix("0 30 1 * * *"), (true, "schedule = \"30 1 * * *\"".into()));
    assert!(fix("0 0 1 ? * 2").1.contains("0 1 * * 2") && fix("0 0 1 ? * 2").1.contains("Quartz"));
    assert!(fix("0 0 L * *").0 && fix("0 0 * * 5#3").0 && fix("0 0 15W * *").0);
    for wrong in [
        "",
        "* * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "a * * * *",
        "*/0 * * * *",
        "5-1 * * * *",
        "@reboot",
        "1,,2 * * * *",
        "-1 * * * *",
        "+1 * * * *",
    ] {
        assert!(!fix(wrong).0, "{wrong}");
    }
}
