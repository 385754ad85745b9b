//! The five fields of a cron expression, and which local minutes they match. Knows no zones.
//!
//! Fields are minute, hour, day of month, month, day of week; each a list of `*`, numbers, names (`JAN`, `MON`),
//! ranges and steps. As in Vixie cron, a day matches when *either* day field does, unless one of them begins with
//! `*`: then both must. `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly` are short for five fields.

use chrono::{Datelike, NaiveDate};
use std::fmt;

/// Which minutes match, field by field, one bit for each value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    both_days: bool,
}

/// Why an expression does not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
    /// What is wrong, as a clause.
    pub what: String,
    /// What to write.
    pub fix: String,
    /// It is in the form of another scheduler: seconds, years, `?`, `L`, `W`, `#`.
    pub foreign: bool,
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

const MONTHS: &[&str] =
    &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// A field's name, its values, and the names of these.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: MONTHS },
    Field { name: "day of week", least: 0, most: 7, names: WEEKDAYS },
];

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// It has another number of fields, a value out of range, or a form of another scheduler.
    pub fn parse(text: &str) -> Result<Cron, CronError> {
        let text = match text.trim() {
            "@hourly" => "0 * * * *",
            "@daily" | "@midnight" => "0 0 * * *",
            "@weekly" => "0 0 * * 0",
            "@monthly" => "0 0 1 * *",
            "@yearly" | "@annually" => "0 0 1 1 *",
            other => other,
        };
        if text.starts_with('@') {
            return Err(wrong(format!(
                "`{text}` is not one of @hourly, @daily, @weekly, @monthly, @yearly"
            )));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        foreign_form(&fields)?;
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(wrong(format!("it has {} fields instead of five", fields.len())));
        };
        let read = [minute, hour, day, month, weekday];
        let mut masks = [0u64; 5];
        for ((mask, field), text) in masks.iter_mut().zip(&FIELDS).zip(read) {
            *mask = field.parse(text)?;
        }
        // Seven is Sunday too.
        let weekdays = (masks[4] | (masks[4] >> 7)) & 0x7f;
        let both_days = day.starts_with('*') || weekday.starts_with('*');
        Ok(Cron {
            minutes: masks[0],
            hours: masks[1],
            days: masks[2],
            months: masks[3],
            weekdays,
            both_days,
        })
    }

    /// Whether any minute of a day matches.
    pub fn matches_day(&self, date: NaiveDate) -> bool {
        let day = self.days >> date.day() & 1 == 1;
        let weekday = self.weekdays >> date.weekday().num_days_from_sunday() & 1 == 1;
        let days = if self.both_days { day && weekday } else { day || weekday };
        days && self.months >> date.month() & 1 == 1
    }

    /// Hours and minutes that match on a day that does, ascending.
    pub fn times(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let hours = (0..24).filter(|h| self.hours >> h & 1 == 1);
        hours.flat_map(|h| (0..60).filter(|m| self.minutes >> m & 1 == 1).map(move |m| (h, m)))
    }
}

/// An error with the general hint.
fn wrong(what: String) -> CronError {
    let fix = "schedule = \"0 1 * * *\"      # minute hour day month weekday: every day at 01:00";
    CronError { what, fix: fix.into(), foreign: false }
}

/// Refuses what other schedulers write, and says how it is written here.
fn foreign_form(fields: &[&str]) -> Result<(), CronError> {
    let quartz_sign = |field: &&str| {
        field.contains(['?', '#'])
            || *field == "L"
            || *field == "LW"
            || (field.len() <= 3
                && field.ends_with(['L', 'W'])
                && field[..field.len() - 1].bytes().all(|b| b.is_ascii_digit()))
    };
    let extra = matches!(fields.len(), 6 | 7);
    let signs = fields.iter().any(quartz_sign);
    if !extra && !signs {
        return Ok(());
    }
    let what = match (extra, signs) {
        (true, false) => {
            format!("it has {} fields: seconds (or years) are not used here", fields.len())
        }
        _ => "this is a Quartz expression (`?`, `L`, `W` and `#` are not used here)".to_string(),
    };
    let five: Vec<&str> = if extra { fields[1..6].to_vec() } else { fields.to_vec() };
    let plain: Vec<&str> = five.iter().map(|f| if *f == "?" { "*" } else { *f }).collect();
    let mut fix = "write minute, hour, day, month, weekday".to_string();
    if plain.len() == 5 && !plain.iter().any(quartz_sign) {
        fix = format!("schedule = \"{}\"", plain.join(" "));
        if plain[4].bytes().any(|b| b.is_ascii_digit()) {
            fix.push_str("      # weekdays count from 0 = Sunday here, from 1 in Quartz");
        }
    }
    Err(CronError { what, fix, foreign: true })
}

impl Field {
    /// Reads the field's list.
    fn parse(&self, text: &str) -> Result<u64, CronError> {
        let mut mask = 0;
        for part in text.split(',') {
            mask |= self.parse_part(part)?;
        }
        Ok(mask)
    }

    /// Reads one member of the list: `*`, `3`, `1-5`, `*/15`, `10-40/10`.
    fn parse_part(&self, part: &str) -> Result<u64, CronError> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let steps = step.parse::<u32>().ok().filter(|s| (1..=self.most).contains(s));
                let steps = steps.ok_or_else(|| {
                    wrong(format!("`{step}` is no step for the {} field", self.name))
                })?;
                (range, Some(steps))
            }
            None => (part, None),
        };
        let (from, upto) = match range.split_once('-') {
            _ if range == "*" => (self.least, if self.most == 7 { 6 } else { self.most }),
            Some((from, upto)) => (self.value(from)?, self.value(upto)?),
            // `5/15` means from 5 on.
            None if step.is_some() => (self.value(range)?, self.most),
            None => (self.value(range)?, self.value(range)?),
        };
        if from > upto {
            return Err(wrong(format!(
                "`{range}` runs backwards: write {from}-{},{}-{upto}",
                self.most, self.least
            )));
        }
        let step = usize::try_from(step.unwrap_or(1)).expect("a step of at most 59");
        Ok((from..=upto).step_by(step).fold(0, |mask, value| mask | 1 << value))
    }

    /// Reads one number or name.
    fn value(&self, text: &str) -> Result<u32, CronError> {
        let lower = text.to_ascii_lowercase();
        if let Some(place) = self.names.iter().position(|name| *name == lower) {
            return Ok(u32::try_from(place).expect("at most twelve names") + self.least);
        }
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse::<u32>().ok().filter(|_| digits);
        number.filter(|n| (self.least..=self.most).contains(n)).ok_or_else(|| {
            wrong(format!("`{text}` is no {}: {} to {} are", self.name, self.least, self.most))
        })
    }
}
