//! Short forms inside values: durations, sizes, shares, column types, names.

use change::ColumnType;
use std::time::Duration;

/// `30s`, `5m`, `2h`, `30d`, `500ms`.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..digits].parse().ok()?;
    let ms: u64 = match text[digits..].trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    // A hundred thousand years are enough, and no sum of two overflows.
    let total = number.checked_mul(ms).filter(|total| *total < u64::from(u32::MAX) * 1_000_000)?;
    Some(Duration::from_millis(total))
}

/// `50GB`, `512 MiB`, `1000` bytes.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().ok()?;
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(unit)
}

/// `1%`, `0.1 %`: a share between 0 and 1.
pub fn share(text: &str) -> Option<f64> {
    let number = text.strip_suffix('%')?.trim();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return None;
    }
    let share = number.parse::<f64>().ok()? / 100.0;
    (0.0..=1.0).contains(&share).then_some(share)
}

/// `int64`, `decimal(12,4)`, `date`: a type that delimited text can be read as.
pub fn column_type(text: &str) -> Option<ColumnType> {
    Some(match text.trim() {
        "bool" => ColumnType::Bool,
        "int64" => ColumnType::Int64,
        "float64" => ColumnType::Float64,
        "text" => ColumnType::Text,
        "bytes" => ColumnType::Bytes,
        "date" => ColumnType::Date,
        "timestamp" => ColumnType::Timestamp,
        "instant" => ColumnType::Instant,
        other => {
            let inside = other.strip_prefix("decimal(")?.strip_suffix(')')?;
            let (precision, scale) = inside.split_once(',')?;
            let precision: u8 = precision.trim().parse().ok()?;
            let scale: i8 = scale.trim().parse().ok()?;
            let fits =
                (1..=38).contains(&precision) && (0..=precision.cast_signed()).contains(&scale);
            return fits.then_some(ColumnType::Decimal { precision, scale });
        }
    })
}

/// Whether a text can name a project, a site, a group or a flow: it becomes part of paths and messages.
pub fn is_name(text: &str) -> bool {
    let first = text.chars().next();
    first.is_some_and(char::is_alphanumeric)
        && text.chars().count() <= 100
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_read_exactly_or_not_at_all() {
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert!(
            ["", "s", "30", "-1s", "1.5h", "30 x", "99999999999999999999d"]
                .iter()
                .all(|t| duration(t).is_none())
        );
        assert_eq!(size("50GB"), Some(50_000_000_000));
        assert_eq!(size("1 MiB"), Some(1_048_576));
        assert!(["GB", "1PB", "-1", "99999999999999TB"].iter().all(|t| size(t).is_none()));
        assert_eq!(share("0.1%"), Some(0.001));
        assert!(["1", "101%", "-1%", "%", "nan%", "1e1%"].iter().all(|t| share(t).is_none()));
        let decimal = ColumnType::Decimal { precision: 12, scale: 4 };
        assert_eq!(column_type("decimal(12,4)"), Some(decimal));
        assert!(
            ["decimal(39,2)", "decimal(4,5)", "money", ""].iter().all(|t| column_type(t).is_none())
        );
        assert!(is_name("paris-07") && is_name("Österreich") && !is_name("../x") && !is_name(""));
    }
}
