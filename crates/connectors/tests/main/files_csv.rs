//! CSV: what is read, as which value, and every way in which a file can be wrong.

use super::files::{entry, read, site, typed};
use change::{ColumnType, Value};
use connect::{Error, FileOptions, Kind, Result};
use proptest::prelude::*;
use std::fs;
use tempfile::TempDir;

fn csv_as(bytes: &[u8], options: &FileOptions) -> Result<Vec<Vec<Value>>> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("day.csv"), bytes).unwrap();
    read(&folder, "day.csv", options)
}

fn csv(text: &str) -> Result<Vec<Vec<Value>>> {
    csv_as(text.as_bytes(), &FileOptions::default())
}

fn text(cells: &[&str]) -> Vec<Value> {
    cells
        .iter()
        .map(|c| if c.is_empty() { Value::Null } else { Value::Text((*c).into()) })
        .collect()
}

#[test]
fn rfc_4180() {
    for (file, rows) in [
        ("a,b\n1,2\n", vec![["1", "2"]]),
        ("a,b\r\n1,2\r\n3,4\r\n", vec![["1", "2"], ["3", "4"]]),
        ("a,b\n1,2", vec![["1", "2"]]),
        ("\u{feff}a,b\n1,2\n", vec![["1", "2"]]),
        ("\u{feff}\"a\",b\n1,2\n", vec![["1", "2"]]),
        ("a,b\n\"x, y\",\"say \"\"hi\"\"\"\n", vec![["x, y", "say \"hi\""]]),
        ("a,b\n\"two\nlines\",\"three\r\nlines\"\n", vec![["two\nlines", "three\r\nlines"]]),
        ("a,b\n,\"\"\n", vec![["", ""]]),
        ("a,b\n 1 , 2\n", vec![[" 1 ", " 2"]]),
        ("a,b\n5\" pipe,x\n", vec![["5\" pipe", "x"]]),
        ("a,b\n", vec![]),
        ("a,b", vec![]),
        ("a,b\n\n1,2\n\n", vec![["1", "2"]]),
    ] {
        let expected: Vec<Vec<Value>> = rows.iter().map(|row| text(row)).collect();
        assert_eq!(csv(file).unwrap(), expected, "{file:?}");
    }
}

#[test]
fn columns_are_text_unless_the_flow_says_more() {
    let types = [
        ("no", "int64"),
        ("price", "decimal(12,4)"),
        ("weight", "float64"),
        ("gift", "bool"),
        ("day", "date"),
        ("at", "timestamp"),
        ("seen", "instant"),
    ];
    let header = "no,code,price,weight,gift,day,at,seen\n";
    let file = format!(
        "{header}7,007,2.55,0.5,true,2010-12-01,2010-12-01 08:26:00,2010-12-01T08:26:00Z\n,,,,,,,\n"
    );
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("x.csv"), &file).unwrap();
    let schema = site(&folder).describe(&entry("x.csv"), &typed(&types)).unwrap();
    let found: Vec<String> = schema.columns().iter().map(|c| c.ty.to_string()).collect();
    assert_eq!(
        found,
        ["int64", "text", "decimal(12,4)", "float64", "bool", "date", "timestamp", "instant"]
    );
    assert_eq!(schema.columns()[1].ty, ColumnType::Text);
    assert!(schema.columns().iter().all(|c| c.nullable) && schema.key().is_empty());
    let rows = read(&folder, "x.csv", &typed(&types)).unwrap();
    let at = 1_291_191_960_000_000;
    assert_eq!(
        rows[0],
        [
            Value::Int(7),
            Value::Text("007".into()),
            Value::Decimal { unscaled: 25_500, scale: 4 },
            Value::float(0.5),
            Value::Bool(true),
            Value::Date(14_944),
            Value::Timestamp(at),
            Value::Instant(at),
        ]
    );
    assert_eq!(rows[1], vec![Value::Null; 8]);
}

fn refused(file: &[u8], options: &FileOptions, words: &[&str]) {
    let error: Error = csv_as(file, options).expect_err("the file is wrong");
    let shown = format!("{error} {error:?}");
    assert_eq!(error.kind, Kind::Refused, "{shown}");
    for word in words.iter().chain(&["day.csv"]) {
        assert!(error.to_string().contains(word), "{word:?} is not in {error}");
    }
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn a_file_that_is_cut_off_is_refused() {
    let none = FileOptions::default();
    refused(b"a,b\n1,2\n3", &none, &["cut off", "line 3"]);
    refused(b"a,b\n1,2\n\"secret", &none, &["cut off"]);
    refused(b"a,b\n1,\"secret", &none, &["cut off", "quotes"]);
    refused(b"a,b\n1,2\n3,\"sec\nret\n", &none, &["cut off", "quotes"]);
    refused(b"a,\"b\n1,2\n", &none, &["cut off", "quotes"]);
    refused(b"a,b,c\n1,2", &none, &["cut off", "line 2 has 2 fields, the header 3"]);
}

/// The parser leaves out a mark by itself; when two were left out, quotes behind them were not seen.
#[test]
fn one_byte_order_mark_is_left_out_and_no_second() {
    let none = FileOptions::default();
    let folder = TempDir::new().unwrap();
    let names = |text: &str| {
        fs::write(folder.path().join("day.csv"), text).unwrap();
        let schema = site(&folder).describe(&entry("day.csv"), &none).unwrap();
        schema.columns().iter().map(|c| c.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("\u{feff}a,b\n1,2\n"), ["a", "b"]);
    assert_eq!(names("\u{feff}\"a\",b\n1,2\n"), ["a", "b"]);
    assert_eq!(names("\u{feff}\u{feff}a,b\n1,2\n"), ["\u{feff}a", "b"]);
    refused("\u{feff}\"a\",b\n1,\"2".as_bytes(), &none, &["cut off", "quotes"]);
    assert_eq!(csv("\u{feff}\u{feff}\na\n").unwrap(), [text(&["a"])]);
    for empty in ["", "\u{feff}"] {
        let error = csv(empty).unwrap_err();
        assert!(error.to_string().contains("no header"), "{error}");
    }
}

#[test]
fn a_record_of_another_width_is_refused_with_its_line() {
    let none = FileOptions::default();
    refused(b"a,b\n1,2\nsecret\n", &none, &["line 3", "1 fields, the header 2"]);
    refused(b"a,b\n1,2\nsecret\n5,6\n", &none, &["line 3", "another number of fields"]);
    refused(b"a,b\n\"x\ny\",2\n1,2,secret\n", &none, &["line 4", "3 fields"]);
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_its_place() {
    let options = typed(&[("n", "int64"), ("p", "decimal(5,2)"), ("d", "date")]);
    let file = |row: &str| format!("n,p,d\n1,2.50,2024-01-01\n{row}\n").into_bytes();
    refused(&file("secret,1,2024-01-01"), &options, &["line 3, column n", "int64"]);
    refused(&file("1.0,1,2024-01-01"), &options, &["line 3, column n"]);
    refused(&file("1,2.555,2024-01-01"), &options, &["line 3, column p", "decimal(5,2)"]);
    refused(&file("1,1234.5,2024-01-01"), &options, &["line 3, column p"]);
    refused(&file("1,1,2023-02-29"), &options, &["line 3, column d", "date"]);
    refused(&file("1,1,\" 2024-01-01\""), &options, &["line 3, column d"]);
}

#[test]
fn other_bytes_are_refused_with_their_line() {
    let none = FileOptions::default();
    refused(b"a,b\n1,2\n3,\xff\n", &none, &["line 3, column b", "UTF-8"]);
    refused(b"a,b\n\"1\"x,2\n", &none, &["line 2", "closing quote"]);
    let mut endless = b"a,b\n1,\"".to_vec();
    endless.extend(std::iter::repeat_n(b'x', 17 << 20));
    refused(&endless, &none, &["too long", "line 2"]);
}

#[test]
fn headers_and_types_that_do_not_fit_are_invalid() {
    for (file, types, words) in [
        ("", vec![], "no header"),
        ("\n\n", vec![], "no header"),
        ("a,,c\n", vec![], "column 2 has no name"),
        ("a,b,a\n", vec![], "column a twice"),
        ("a,b\n", vec![("c", "int64")], "no column c"),
        ("a,b\n", vec![("a", "integer")], "`integer` is no type"),
        ("a,b\n", vec![("a", "decimal(99,1)")], "column a"),
    ] {
        let error = csv_as(file.as_bytes(), &typed(&types)).expect_err(file);
        assert_eq!(error.kind, Kind::Invalid, "{file:?}: {error:?}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = csv_as(b"a,\xff\n", &FileOptions::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
}

#[test]
fn large_files_come_in_batches() {
    let mut file = String::from("n,t\n");
    for n in 0..20_000 {
        file.push_str(&format!("{n},\"row {n}\"\n"));
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("x.csv"), &file).unwrap();
    let (mut site, options, file) = (site(&folder), typed(&[("n", "int64")]), entry("x.csv"));
    let schema = site.describe(&file, &options).unwrap();
    let fingerprint = site.fingerprint(&file).unwrap();
    let mut sizes = Vec::new();
    let rows = site
        .read(&file, &fingerprint, &schema, &options, &mut |batch| {
            sizes.push(batch.num_rows());
            Ok(())
        })
        .unwrap();
    assert_eq!((rows, sizes), (20_000, vec![8_192, 8_192, 3_616]));
}

fn field() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[a-z]{1,5}", "[\"',\r\n a]{1,6}", ".{0,6}",]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_a_csv_writer_writes_is_read(
        rows in (1usize..5).prop_flat_map(|width| {
            prop::collection::vec(prop::collection::vec(field(), width), 0..8)
        }),
        crlf in any::<bool>(),
        mark in any::<bool>(),
    ) {
        let width = rows.first().map_or(1, Vec::len);
        let mut bytes = if mark { "\u{feff}".as_bytes().to_vec() } else { Vec::new() };
        let end = if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new().terminator(end).from_writer(&mut bytes);
        let header: Vec<String> = (0..width).map(|i| format!("c{i}")).collect();
        writer.write_record(&header).unwrap();
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        writer.flush().unwrap();
        drop(writer);
        let expected: Vec<Vec<Value>> = rows
            .iter()
            .map(|row| text(&row.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        prop_assert_eq!(csv_as(&bytes, &FileOptions::default()).unwrap(), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn mutated_files_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..6),
    ) {
        let mut bytes = b"no,name,price,day\r\n1,\"a \"\"b\"\"\",2.50,2024-01-01\r\n2,\"x\ny\",,\r\n3,z,1.00,2024-02-29\r\n".to_vec();
        for (at, byte, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            let special = [b'"', b',', b'\n', b'\r', 0xff, 0, b'x', b'\xEF'];
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] = special[usize::from(byte) % special.len()],
                2 => bytes.truncate(at),
                _ => bytes.insert(at, special[usize::from(byte) % special.len()]),
            }
        }
        let options = typed(&[("price", "decimal(5,2)")]);
        if let Err(error) = csv_as(&bytes, &options) {
            prop_assert!(matches!(error.kind, Kind::Refused | Kind::Invalid), "{error:?}");
        }
    }
}
