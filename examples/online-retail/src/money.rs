//! Money as a whole number of ten-thousandths: sums are exact, and nothing here is a float but what SQLite hands us.

use anyhow::{Context, Result, bail};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// Digits behind the point.
const SCALE: usize = 4;

/// 10 to the scale.
const UNIT: i128 = 10_000;

/// An exact amount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money(i128);

impl Money {
    /// Reads plain digits, `-11062.06`.
    ///
    /// # Errors
    /// It is no number, or has more than four digits behind the point that are not 0.
    pub(crate) fn parse(text: &str) -> Result<Money> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, behind) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !plain(whole) || !plain(behind) {
            bail!("`{text}` is no amount");
        }
        let (kept, beyond) = behind.split_at(behind.len().min(SCALE));
        if beyond.bytes().any(|digit| digit != b'0') {
            bail!("`{text}` has more than {SCALE} digits behind the point");
        }
        let all = format!("{whole}{kept:0<SCALE$}");
        let amount: i128 = all.parse().with_context(|| format!("`{text}` is too large"))?;
        Ok(Money(if negative { -amount } else { amount }))
    }

    /// The decimal of at most 15 digits that this binary number stands for.
    ///
    /// # Errors
    /// It stands for none with four digits behind the point.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    pub(crate) fn of_real(real: f64) -> Result<Money> {
        let amount = (real * UNIT as f64).round() as i128;
        // The nearest binary number of `amount`: if it is not this one, this one was not made from an amount.
        if amount as f64 / UNIT as f64 != real {
            bail!("{real:e} is no amount with {SCALE} digits behind the point");
        }
        Ok(Money(amount))
    }

    /// So many whole ones.
    pub(crate) fn whole(number: i64) -> Money {
        Money(i128::from(number) * UNIT)
    }

    /// This price for so many pieces.
    pub(crate) fn times(self, pieces: i64) -> Money {
        Money(self.0 * i128::from(pieces))
    }
}

impl Add for Money {
    type Output = Money;

    fn add(self, other: Money) -> Money {
        Money(self.0 + other.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Money) {
        *self = *self + other;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Money>>(all: I) -> Money {
        all.fold(Money::default(), Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, behind) = (self.0.unsigned_abs() / 10_000, self.0.unsigned_abs() % 10_000);
        write!(f, "{sign}{whole}.{behind:04}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        for (text, shown) in [
            ("2.55", "2.5500"),
            ("-11062.06", "-11062.0600"),
            ("0.001", "0.0010"),
            ("7", "7.0000"),
            ("1.25000000", "1.2500"),
            ("-0.5", "-0.5000"),
        ] {
            assert_eq!(Money::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "-", ".5", "1e3", "1,5", "0.00001", "+1", "1.2.3", " 1"] {
            assert!(Money::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn binary_numbers_stand_for_the_decimal_they_came_from() {
        for text in ["2.55", "0.1", "-11062.06", "0.001", "99999999.9999", "0"] {
            let real: f64 = text.parse().unwrap();
            assert_eq!(Money::of_real(real).unwrap(), Money::parse(text).unwrap());
        }
        assert!(Money::of_real(0.1 + 0.2).is_err());
        assert!(Money::of_real(f64::NAN).is_err());
    }

    #[test]
    fn sums_of_cents_do_not_drift() {
        let cent = Money::parse("0.01").unwrap();
        let sum: Money = std::iter::repeat_n(cent, 1_000_000).sum();
        assert_eq!(sum, Money::whole(10_000));
        assert_eq!(cent.times(-3).to_string(), "-0.0300");
    }
}
