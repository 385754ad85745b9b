//! When runs happen, and what each covers.
//!
//! A schedule is a cron expression in a time zone. Clocks that are set forward and back are handled by two rules:
//!
//! * a run that falls into the hour that is **skipped** runs once, at the first instant after the gap; several that
//!   fall into it are one run;
//! * a run that falls into the hour that comes **twice** runs once, the first time. This holds for `*/15 * * * *`
//!   too: nothing runs during the repetition.
//!
//! The run at time `t` covers everything from the fire before it up to `t`, so no rule leaves a hole: after the
//! repeated hour, the next run covers it. Days are those of the zone's calendar, also where a zone skipped one.

use crate::cron::{Cron, CronError};
use change::planted::{Defect, is_planted};
use chrono::{DateTime, Days, Duration, LocalResult, NaiveDate, TimeZone, Utc};
use chrono_tz::Tz;

/// Days looked ahead: the 29th of February comes after eight years at the latest.
const HORIZON_DAYS: usize = 366 * 9;

/// Minutes looked ahead for the end of a gap: a zone that changed sides of the date line skipped a day.
const LONGEST_GAP_MINUTES: i64 = 60 * 26;

/// A cron expression in a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    cron: Cron,
    times: Vec<(u32, u32)>,
    zone: Tz,
}

/// Why a schedule does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleError {
    /// The expression.
    Cron(CronError),
    /// The zone's name is unknown.
    Zone(String),
    /// The expression matches no day: the 30th of February.
    Never,
}

/// What a run covers: from `from_us` on, before `upto_us`. Both are fires of the schedule, microseconds since
/// 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// The fire before.
    pub from_us: i64,
    /// The fire that starts the run.
    pub upto_us: i64,
}

/// The zone of a name.
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The known zone that is nearest to a misspelt name.
pub fn nearest_zone(name: &str) -> Option<&'static str> {
    let names = || chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let city =
        |n: &&'static str| n.rsplit('/').next().is_some_and(|c| c.eq_ignore_ascii_case(name));
    names().find(city).or_else(|| crate::suggest::nearest(name, names()))
}

impl Schedule {
    /// Reads an expression and a zone.
    ///
    /// # Errors
    /// Either does not read, or no day ever matches.
    pub fn parse(expression: &str, zone_name: &str) -> Result<Schedule, ScheduleError> {
        let cron = Cron::parse(expression).map_err(ScheduleError::Cron)?;
        let zone = zone(zone_name).ok_or_else(|| ScheduleError::Zone(zone_name.to_string()))?;
        let times = cron.times().collect();
        let schedule = Schedule { cron, times, zone };
        // Any moment does: within eight years every day that exists comes.
        if schedule.next_after(0).is_none() {
            return Err(ScheduleError::Never);
        }
        Ok(schedule)
    }

    /// The zone.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first fire after an instant; `None` beyond the end of the calendar.
    pub fn next_after(&self, instant_us: i64) -> Option<i64> {
        if is_planted(Defect::FireTwiceInOverlap)
            && let Some(again) = self.second_time(instant_us)
        {
            return Some(again);
        }
        // The day before may end in a gap that ends today.
        let mut date = self.local_date(instant_us)?.pred_opt()?;
        for _ in 0..HORIZON_DAYS {
            let times = self.times_of(date);
            let passed = times.partition_point(|time| self.instant(date, *time) <= instant_us);
            if let Some(time) = times.get(passed) {
                return Some(self.instant(date, *time)).filter(|fire| *fire < i64::MAX);
            }
            date = date.succ_opt()?;
        }
        None
    }

    /// The last fire before an instant; `None` before the beginning of the calendar.
    pub fn last_before(&self, instant_us: i64) -> Option<i64> {
        // A clock set back over midnight: minutes of tomorrow may already have passed.
        let mut date = self.local_date(instant_us)?.succ_opt()?;
        for _ in 0..HORIZON_DAYS {
            let times = self.times_of(date);
            let passed = times.partition_point(|time| self.instant(date, *time) < instant_us);
            if passed > 0 {
                return Some(self.instant(date, times[passed - 1]));
            }
            date = date.pred_opt()?;
        }
        None
    }

    /// What the run at a fire covers.
    pub fn interval(&self, fire_us: i64) -> Option<Interval> {
        Some(Interval { from_us: self.last_before(fire_us)?, upto_us: fire_us })
    }

    /// When the local time of an instant comes once more.
    fn second_time(&self, instant_us: i64) -> Option<i64> {
        let utc = DateTime::<Utc>::from_timestamp_micros(instant_us)?;
        let local = self.zone.from_local_datetime(&utc.with_timezone(&self.zone).naive_local());
        let second = local.latest()?.timestamp_micros();
        (second > instant_us).then_some(second)
    }

    /// The calendar day of an instant.
    fn local_date(&self, instant_us: i64) -> Option<NaiveDate> {
        let utc = DateTime::<Utc>::from_timestamp_micros(instant_us)?;
        // Near the ends of the calendar a zone's offset would leave it.
        utc.naive_utc().checked_sub_days(Days::new(4))?;
        utc.naive_utc().checked_add_days(Days::new(4))?;
        Some(utc.with_timezone(&self.zone).date_naive())
    }

    /// The matching minutes of a day. Their instants never descend, from day to day either, so that both searches
    /// may divide.
    fn times_of(&self, date: NaiveDate) -> &[(u32, u32)] {
        if self.cron.matches_day(date) { &self.times } else { &[] }
    }

    /// The instant of a local time: the first where it comes twice, the end of the gap where it is skipped.
    fn instant(&self, date: NaiveDate, (hour, minute): (u32, u32)) -> i64 {
        let local = date.and_hms_opt(hour, minute, 0).expect("an hour and a minute in range");
        for minutes in 0..LONGEST_GAP_MINUTES {
            let later = local.checked_add_signed(Duration::minutes(minutes));
            match later.map(|later| self.zone.from_local_datetime(&later)) {
                Some(LocalResult::Single(instant) | LocalResult::Ambiguous(instant, _)) => {
                    return instant.timestamp_micros();
                }
                Some(LocalResult::None) if is_planted(Defect::SkipInGap) => return i64::MIN,
                Some(LocalResult::None) => {}
                None => break,
            }
        }
        i64::MAX
    }
}
