//! Folders of files: which are listed, fingerprints, files that change, Parquet, and what a site of files is not.

use arrow::array::{
    ArrayRef, Date64Array, Decimal128Array, Float32Array, Int32Array, Int64Array, LargeStringArray,
    RecordBatch, StringViewArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
};
use change::{ColumnType, TableSchema, Value};
use connect::{Connector, Error, FileEntry, FileOptions, FileSite, Kind, Result, SiteSettings};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use seamount_connectors::files::Files;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) fn settings(folder: &Path, url: &str) -> SiteSettings {
    SiteSettings {
        site: "shop".into(),
        url: url.into(),
        root: folder.to_path_buf(),
        options: Default::default(),
        masks: Default::default(),
    }
}

pub(crate) fn site(folder: &TempDir) -> Box<dyn FileSite> {
    site_at(folder.path())
}

pub(crate) fn site_at(folder: &Path) -> Box<dyn FileSite> {
    Files.files(&settings(folder, "files:")).unwrap()
}

pub(crate) fn entry(path: &str) -> FileEntry {
    FileEntry { interval: None, path: path.into(), bytes: 0 }
}

pub(crate) fn typed(types: &[(&str, &str)]) -> FileOptions {
    let types = types.iter().map(|(name, ty)| (name.to_string(), ty.to_string())).collect();
    FileOptions { types }
}

/// Describes, fingerprints and reads a file as a run does.
pub(crate) fn read(folder: &TempDir, path: &str, options: &FileOptions) -> Result<Vec<Vec<Value>>> {
    let mut site = site(folder);
    let file = entry(path);
    let schema = site.describe(&file, options)?;
    let fingerprint = site.fingerprint(&file)?;
    read_as(site.as_mut(), &file, &fingerprint, &schema, options)
}

fn read_as(
    site: &mut dyn FileSite,
    file: &FileEntry,
    fingerprint: &str,
    schema: &TableSchema,
    options: &FileOptions,
) -> Result<Vec<Vec<Value>>> {
    let mut rows = Vec::new();
    let count = site.read(file, fingerprint, schema, options, &mut |batch| {
        assert!(batch.num_rows() <= 8_192 && batch.num_rows() > 0);
        assert_eq!(batch.schema(), *schema.images());
        rows.extend((0..batch.num_rows()).map(|row| Value::row(&batch, schema, row)));
        Ok(())
    })?;
    assert_eq!(count, rows.len() as u64);
    Ok(rows)
}

fn touch(folder: &TempDir, path: &str) {
    let path = folder.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "a\n1\n").unwrap();
}

#[test]
fn listing_finds_what_is_complete_in_order() {
    let folder = TempDir::new().unwrap();
    for path in [
        "export/2024-01-02.csv",
        "export/2024-01-01.csv",
        "export/.2024-01-03.csv",
        "export/2024-01-04.csv.tmp",
        "export/2024-01-05.csv.part",
        "export/2024-01-06.csv~",
        "export/notes.txt",
        "export/deep/2024-01-07.csv",
        "b/x_2024.csv",
        "a/y_2024.csv",
        "a/x_2023.csv",
    ] {
        touch(&folder, path);
    }
    let mut site = site(&folder);
    let mut listed = |pattern: &str| -> Vec<(Option<String>, String)> {
        site.list(pattern).unwrap().into_iter().map(|f| (f.interval, f.path)).collect()
    };
    let found = |interval: &str, path: &str| (Some(interval.to_string()), path.to_string());
    assert_eq!(
        listed("export/{interval}.csv"),
        [
            found("2024-01-01", "export/2024-01-01.csv"),
            found("2024-01-02", "export/2024-01-02.csv")
        ]
    );
    assert_eq!(
        listed("*/*_{interval}.csv"),
        [
            found("2023", "a/x_2023.csv"),
            found("2024", "a/y_2024.csv"),
            found("2024", "b/x_2024.csv")
        ]
    );
    assert_eq!(listed("{interval}/x_2023.csv"), [found("a", "a/x_2023.csv")]);
    assert_eq!(listed("export/notes.txt"), [(None, "export/notes.txt".to_string())]);
    assert_eq!(listed("export/*.parquet"), []);
    assert_eq!(site.list("export/*.csv").unwrap()[0].bytes, 4);
}

#[test]
fn what_is_missing_is_named() {
    let folder = TempDir::new().unwrap();
    let error = Files.files(&settings(folder.path(), "files:nowhere")).map(drop).unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.what.contains("nowhere") && error.what.contains("shop"), "{error}");
    let error = site(&folder).list("export/{interval}.csv").unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.what.contains("export"), "{error}");
    assert_eq!(site(&folder).list("../{interval}.csv").unwrap_err().kind, Kind::Invalid);
    let gone = entry("gone.csv");
    let error = site(&folder).describe(&gone, &FileOptions::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable);
    assert!(error.what.contains("gone.csv"));
    assert_eq!(site(&folder).fingerprint(&gone).unwrap_err().kind, Kind::Unavailable);
    assert_eq!(site(&folder).fingerprint(&entry("../x.csv")).unwrap_err().kind, Kind::Invalid);
    touch(&folder, "file");
    let error = Files.files(&settings(folder.path(), "files:file")).map(drop).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    let error = site(&folder).describe(&entry("file"), &FileOptions::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.what.contains("unknown format"));
}

#[test]
fn a_folder_is_no_database() {
    let folder = TempDir::new().unwrap();
    let settings = settings(folder.path(), "files:");
    assert!(Files.capabilities().files && !Files.capabilities().capture);
    let errors: [Error; 3] = [
        Files.readable(&settings).map(drop).unwrap_err(),
        Files.source(&settings).map(drop).unwrap_err(),
        Files.target(&settings).map(drop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.fix.unwrap().contains("[from] files"));
    }
}

#[test]
fn fingerprints_tell_of_content() {
    let folder = TempDir::new().unwrap();
    touch(&folder, "a.csv");
    touch(&folder, "b.csv");
    let mut site = site(&folder);
    let a = site.fingerprint(&entry("a.csv")).unwrap();
    assert_eq!(a, blake3::hash(b"a\n1\n").to_hex().to_string());
    assert_eq!(site.fingerprint(&entry("b.csv")).unwrap(), a);
    fs::write(folder.path().join("b.csv"), "a\n2\n").unwrap();
    assert_ne!(site.fingerprint(&entry("b.csv")).unwrap(), a);
}

/// Reads a file whose content becomes `then` after it was described and fingerprinted.
fn changed(path: &str, first: &[u8], then: &[u8]) -> Result<Vec<Vec<Value>>> {
    let folder = TempDir::new().unwrap();
    let (options, file) = (FileOptions::default(), entry(path));
    fs::write(folder.path().join(path), first).unwrap();
    let mut site = site(&folder);
    let schema = site.describe(&file, &options).unwrap();
    let fingerprint = site.fingerprint(&file).unwrap();
    fs::write(folder.path().join(path), then).unwrap();
    read_as(site.as_mut(), &file, &fingerprint, &schema, &options)
}

#[test]
fn a_file_that_changed_since_is_unavailable_whatever_else_is_wrong_with_it() {
    for then in
        ["a,b\n1,3\n", "a,b\n1,2\n3,4\n", "a,b\n1", "a,b\n\"", "x\n", "", "a,b\n1,2\n\"x\"y,1\n"]
    {
        let error = changed("x.csv", b"a,b\n1,2\n", then.as_bytes()).unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable, "{then:?}: {error:?}");
        assert!(error.what.contains("x.csv") && error.what.contains("changed"), "{error}");
    }
    assert_eq!(changed("x.csv", b"a,b\n1,2\n", b"a,b\n1,2\n").unwrap().len(), 1);
    let (one, two) = (parquet_of(vec![("a", ints(&[1]))]), parquet_of(vec![("a", ints(&[1, 2]))]));
    let other = parquet_of(vec![("b", ints(&[1]))]);
    for then in [two.as_slice(), other.as_slice(), &one[..one.len() - 5], b""] {
        let error = changed("x.parquet", &one, then).unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable, "{error:?}");
    }
    assert_eq!(changed("x.parquet", &one, &one).unwrap().len(), 1);
}

#[test]
fn a_file_that_changes_while_it_is_read_is_unavailable() {
    let folder = TempDir::new().unwrap();
    let text = format!("a\n{}", "12345678\n".repeat(100_000));
    let path = folder.path().join("x.csv");
    fs::write(&path, &text).unwrap();
    let (mut site, options, file) = (site(&folder), FileOptions::default(), entry("x.csv"));
    let schema = site.describe(&file, &options).unwrap();
    let fingerprint = site.fingerprint(&file).unwrap();
    let mut handed = 0;
    let error = site
        .read(&file, &fingerprint, &schema, &options, &mut |batch| {
            if handed == 0 {
                fs::write(&path, text.replace("12345678", "12345679")).unwrap();
            }
            handed += batch.num_rows();
            Ok(())
        })
        .unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error:?}");
    assert!(handed > 0);
}

#[test]
fn the_error_of_a_sink_comes_back_as_it_is() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("x.csv"), "a\n1\n").unwrap();
    fs::write(folder.path().join("x.parquet"), parquet_of(vec![("a", ints(&[1]))])).unwrap();
    for path in ["x.csv", "x.parquet"] {
        let (mut site, options, file) = (site(&folder), FileOptions::default(), entry(path));
        let schema = site.describe(&file, &options).unwrap();
        let sink = &mut |_| Err(Error::conflict("fenced").code("E9999"));
        let error = site.read(&file, "another", &schema, &options, sink).unwrap_err();
        assert_eq!(
            (error.kind, error.code, error.what.as_str()),
            (Kind::Conflict, Some("E9999"), "fenced")
        );
    }
}

fn ints(n: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(n.to_vec()))
}

fn parquet_of(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn parquet_rows(columns: Vec<(&str, ArrayRef)>) -> Result<Vec<Vec<Value>>> {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("x.parquet"), parquet_of(columns)).unwrap();
    read(&folder, "x.parquet", &FileOptions::default())
}

#[test]
fn parquet_values_come_out_exact() {
    let rows = parquet_rows(vec![
        ("int", Arc::new(Int32Array::from(vec![Some(-5), None])) as ArrayRef),
        ("unsigned", Arc::new(UInt64Array::from(vec![u64::MAX, 0]))),
        ("float", Arc::new(Float32Array::from(vec![0.1_f32, -0.0]))),
        ("text", Arc::new(LargeStringArray::from(vec!["é", ""]))),
        ("view", Arc::new(StringViewArray::from(vec!["x", "y"]))),
        ("ns", Arc::new(TimestampNanosecondArray::from(vec![1_000, -2_000]))),
        ("s", Arc::new(TimestampSecondArray::from(vec![1, 2]).with_timezone("+02:00"))),
        ("day", Arc::new(Date64Array::from(vec![86_400_000, 0]))),
        (
            "price",
            Arc::new(Decimal128Array::from(vec![125, 0]).with_precision_and_scale(10, 2).unwrap()),
        ),
    ])
    .unwrap();
    let decimal = |unscaled, scale| Value::Decimal { unscaled, scale };
    assert_eq!(
        rows[0],
        [
            Value::Int(-5),
            decimal(i128::from(u64::MAX), 0),
            Value::float(f64::from(0.1_f32)),
            Value::Text("é".into()),
            Value::Text("x".into()),
            Value::Timestamp(1),
            Value::Instant(1_000_000),
            Value::Date(1),
            decimal(125, 2),
        ]
    );
    assert_eq!(rows[1][..2], [Value::Null, decimal(0, 0)]);
}

#[test]
fn parquet_that_would_lose_something_is_refused() {
    let ns: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_001]));
    let error = parquet_rows(vec![("t", ns)]).unwrap_err();
    assert_eq!(error.kind, Kind::Refused);
    assert!(error.what.contains("column t") && error.what.contains("x.parquet"), "{error}");
    let list =
        arrow::array::ListArray::from_iter_primitive::<arrow::datatypes::Int32Type, _, _>(vec![
            Some(vec![Some(1)]),
        ]);
    let error = parquet_rows(vec![("l", Arc::new(list))]).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
}

#[test]
fn parquet_without_its_footer_is_not_there_yet() {
    let folder = TempDir::new().unwrap();
    let whole = parquet_of(vec![("a", ints(&(0..50_000).collect::<Vec<_>>()))]);
    let path = folder.path().join("x.parquet");
    let describe = || site(&folder).describe(&entry("x.parquet"), &FileOptions::default());
    for half in [0, 3, 12, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..half]).unwrap();
        assert_eq!(describe().unwrap_err().kind, Kind::Unavailable, "{half} bytes");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(describe().unwrap().columns()[0].ty, ColumnType::Int64);
    assert_eq!(read(&folder, "x.parquet", &FileOptions::default()).unwrap().len(), 50_000);
    let error = site(&folder).describe(&entry("x.parquet"), &typed(&[("a", "text")])).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    let mut damaged = whole.clone();
    let footer = damaged.len() - 40;
    damaged[footer..footer + 20].fill(0xff);
    fs::write(&path, &damaged).unwrap();
    assert_eq!(describe().unwrap_err().kind, Kind::Invalid);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn damaged_parquet_is_an_error_or_reads(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let texts = StringViewArray::from((0..300).map(|i| format!("t{}", i % 7)).collect::<Vec<_>>());
        let mut bytes = parquet_of(vec![
            ("a", ints(&(0..300).collect::<Vec<_>>())),
            ("b", Arc::new(texts) as ArrayRef),
        ]);
        // The magic numbers stay; a footer that is not there has a test of its own.
        for (at, byte) in changes {
            let at = 4 + at.index(bytes.len() - 8);
            bytes[at] = byte;
        }
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("x.parquet"), bytes).unwrap();
        if let Err(error) = read(&folder, "x.parquet", &FileOptions::default()) {
            prop_assert!(matches!(error.kind, Kind::Refused | Kind::Invalid), "{error:?}");
        }
    }
}
