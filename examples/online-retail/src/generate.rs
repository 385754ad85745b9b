//! Data of the same shape as the real: 38 countries with its skew, invoices of many lines, cancellations, negative
//! quantities, repeated rows, commas and quotes, absent customers and descriptions. From a seed, byte for byte.

use crate::countries;
use crate::data::Day;
use crate::options::Options;
use crate::random::Random;
use crate::sale::HEADER;
use anyhow::{Context, Result};
use std::path::Path;

/// Days where none are asked for: as many as the real data has.
const DAYS: usize = 305;

/// Rows of each country in the real data, in the order of the list: how often a country is drawn.
const WEIGHTS: [u64; 38] = [
    495_478, 9_495, 8_557, 8_196, 2_533, 2_371, 2_069, 2_002, 1_519, 1_259, 1_086, 803, 758, 695,
    622, 462, 446, 401, 389, 358, 341, 297, 291, 288, 229, 182, 151, 146, 127, 68, 61, 58, 45, 35,
    32, 30, 19, 10,
];

const FIRST: [&str; 8] =
    ["WHITE", "RED RETROSPOT", "VINTAGE", "SET OF 6", "JUMBO", "PACK OF 12", "HANGING", "SMALL"];
const SECOND: [&str; 8] = [
    "HEART",
    "LANTERN",
    "LUNCH BAG",
    "CAKE STAND",
    "T-LIGHT HOLDER",
    "TEA SET",
    "PAPER CHAIN",
    "SIGN",
];
/// Ends that a careless reader of CSV stumbles over.
const ODD: [&str; 5] =
    [", 3 DRAWER", " \"HOME SWEET HOME\"", " ", ", \"DELUXE\", BLUE", " 50'S CAFÉ"];

/// Writes the days into a folder, oldest first.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn days(options: &Options, folder: &Path) -> Result<Vec<Day>> {
    let names: Vec<String> = countries::all()?.into_iter().map(|country| country.name).collect();
    let mut made = Maker { random: Random::new(options.seed), names, invoice: 536_365 };
    let mut days = Vec::new();
    for name in calendar().take(options.days.unwrap_or(DAYS)) {
        let path = folder.join(format!("{name}.csv"));
        let mut writer = csv::Writer::from_path(&path).context("a day's file")?;
        writer.write_record(HEADER).context("a day's file")?;
        for row in made.day(&name, options.rows_per_day) {
            writer.write_record(&row).context("a day's file")?;
        }
        writer.flush().context("a day's file")?;
        days.push(Day { name, path });
    }
    Ok(days)
}

/// Trading days from 2010-12-01 on: never a Saturday.
fn calendar() -> impl Iterator<Item = String> {
    // 2010-12-01 is day 14,944 since 1970-01-01, which was a Thursday.
    (14_944..).filter(|day| (day + 4) % 7 != 6).map(date)
}

/// The date of a day since 1970-01-01.
fn date(day: i64) -> String {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_of_year = (5 * of_year + 2) / 153;
    let month = if month_of_year < 10 { month_of_year + 3 } else { month_of_year - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{:02}", of_year - (153 * month_of_year + 2) / 5 + 1)
}

type Row = [String; 8];

struct Maker {
    random: Random,
    names: Vec<String>,
    invoice: u64,
}

impl Maker {
    /// A day's rows, about `rows` of them: invoice by invoice, in the order of the day.
    fn day(&mut self, day: &str, rows: u64) -> Vec<Row> {
        let wanted = self.random.between(rows * 6 / 10, rows * 14 / 10);
        let mut made: Vec<Row> = Vec::new();
        let mut minute = 7 * 60;
        while (made.len() as u64) < wanted {
            minute = (minute + self.random.below(3)).min(20 * 60);
            let at = format!("{day} {:02}:{:02}:00", minute / 60, minute % 60);
            let lines = self.random.between(1, 40);
            self.invoice(&at, lines, &mut made);
        }
        made
    }

    /// One invoice of one customer, or its cancellation.
    fn invoice(&mut self, at: &str, lines: u64, made: &mut Vec<Row>) {
        self.invoice += 1;
        let cancelled = self.random.happens(1, 12);
        let lines = if cancelled { lines.min(3) } else { lines };
        let number =
            if cancelled { format!("C{}", self.invoice) } else { self.invoice.to_string() };
        let place = self.country();
        let country = self.names[place].clone();
        let customer = match self.random.happens(1, 4) {
            true => String::new(),
            false => format!("{}.0", self.random.between(12_346, 18_287)),
        };
        for _ in 0..lines {
            if let Some(last) = made.last().filter(|last| last[0] == number)
                && self.random.happens(1, 100)
            {
                made.push(last.clone());
                continue;
            }
            let pieces = self.pieces(cancelled);
            let (stock_code, description) = self.article();
            let price = self.price();
            made.push([
                number.clone(),
                stock_code,
                description,
                pieces.to_string(),
                at.to_string(),
                price,
                customer.clone(),
                country.clone(),
            ]);
        }
    }

    fn country(&mut self) -> usize {
        let mut left = self.random.below(WEIGHTS.iter().sum());
        WEIGHTS
            .iter()
            .position(|weight| {
                let here = left < *weight;
                left = left.saturating_sub(*weight);
                here
            })
            .expect("the number is below the sum")
    }

    /// How many, less than none where goods come back.
    fn pieces(&mut self, cancelled: bool) -> i64 {
        let most = if self.random.happens(1, 2_000) { 80_995 } else { 48 };
        let pieces = i64::try_from(self.random.between(1, most)).expect("a small number");
        if cancelled || self.random.happens(1, 400) { -pieces } else { pieces }
    }

    fn article(&mut self) -> (String, String) {
        let number = self.random.between(20_000, 23_999);
        let letter = if self.random.happens(1, 10) { "B" } else { "" };
        let mut words = format!("{} {}", self.random.pick(&FIRST), self.random.pick(&SECOND));
        if self.random.happens(1, 5) {
            let end: &&str = self.random.pick(&ODD);
            words.push_str(end);
        }
        let absent = self.random.happens(1, 370);
        (format!("{number}{letter}"), if absent { String::new() } else { words })
    }

    /// Written as the real data writes it: no zeros at the end but the first.
    fn price(&mut self) -> String {
        if self.random.happens(1, 10_000) {
            return "0.001".into();
        }
        let cents = if self.random.happens(1, 200) { 0 } else { self.random.between(4, 1_995) };
        let text = format!("{}.{:02}", cents / 100, cents % 100);
        text.strip_suffix('0').map_or(text.clone(), String::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Money;
    use crate::options;
    use crate::sale::read_day;
    use std::collections::BTreeSet;

    fn options(seed: u64, days: usize) -> Options {
        let text = format!("run --seamount none --seed {seed} --days {days} --rows-per-day 3000");
        options::read(&text.split(' ').map(String::from).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn days_are_trading_days() {
        let all: Vec<String> = calendar().take(305).collect();
        assert_eq!(all[..4], ["2010-12-01", "2010-12-02", "2010-12-03", "2010-12-05"]);
        assert!(all.contains(&"2011-02-28".to_string()) && all.contains(&"2011-03-01".to_string()));
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(11_016), "2000-02-29");
    }

    #[test]
    fn the_same_seed_makes_the_same_bytes() {
        let bytes = |seed| {
            let folder = tempfile::tempdir().unwrap();
            let days = days(&options(seed, 2), folder.path()).unwrap();
            days.iter().map(|day| std::fs::read(&day.path).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(bytes(5), bytes(5));
        assert_ne!(bytes(5), bytes(6));
    }

    #[test]
    fn the_oddities_of_the_real_data_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let days = days(&options(1, 6), folder.path()).unwrap();
        let mut all = Vec::new();
        for day in &days {
            all.extend(read_day(&day.path, &day.name).unwrap());
        }
        let share = |of: usize| of * 100 / all.len();
        let british = all.iter().filter(|sale| sale.key.country == "United Kingdom").count();
        assert!((85..97).contains(&share(british)), "{british} of {}", all.len());
        let absent = all.iter().filter(|sale| sale.customer.is_none()).count();
        assert!((15..35).contains(&share(absent)));
        assert!(all.iter().any(|sale| sale.invoice.starts_with('C') && sale.quantity < 0));
        assert!(all.iter().any(|sale| !sale.invoice.starts_with('C') && sale.quantity < 0));
        assert!(all.iter().any(|sale| sale.description.is_none()));
        assert!(all.iter().any(|sale| sale.unit_price == Money::default()));
        let described =
            |part: char| all.iter().flat_map(|s| &s.description).any(|d| d.contains(part));
        assert!(described(',') && described('"') && described('É'));
        let mut seen = BTreeSet::new();
        let repeated = all.iter().filter(|s| {
            !seen.insert((&s.invoice, &s.stock_code, &s.description, s.quantity, s.unit_price))
        });
        assert!(repeated.count() > 0, "no row is repeated");
    }
}
