//! Files that ask for too much are refused, in little memory; files that are only large are read, in little memory.

use super::files::{entry, read, site};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use connect::{FileOptions, Kind};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

const MIB: usize = 1 << 20;
/// What the harness allows a process that reads one hostile file.
const MOST_MIB: usize = 256;
/// Names the file that the process of its own is to read.
const FILE: &str = "SEAMOUNT_TEST_FILE";

fn packed() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::None)
}

/// Writes one column of texts that all are `length` long, `each` of them in a row group.
fn texts(path: &Path, length: usize, groups: usize, each: usize, properties: WriterProperties) {
    let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8, false)]));
    let options =
        ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
    let file = File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new_with_options(file, schema.clone(), options).unwrap();
    let text = "0".repeat(length);
    let column: ArrayRef = Arc::new(StringArray::from(vec![text.as_str(); each]));
    let batch = RecordBatch::try_new(schema, vec![column]).unwrap();
    for _ in 0..groups {
        writer.write(&batch).unwrap();
        writer.flush().unwrap();
    }
    writer.close().unwrap();
}

/// Reads a file in a process of its own; what came of it, and the most memory that took.
fn read_alone(folder: &TempDir, name: &str) -> (String, usize) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "files_limits::reads_what_it_is_told", "--nocapture"])
        .env(FILE, folder.path().join(name))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = said.lines().find_map(|line| line.split_once("outcome: ")).expect(&said).1;
    let (mib, outcome) = line.split_once(' ').unwrap();
    (outcome.to_string(), mib.parse().unwrap())
}

/// What [`read_alone`] starts; on its own it has nothing to read.
#[test]
fn reads_what_it_is_told() {
    let Some(path) = std::env::var_os(FILE) else { return };
    let path = Path::new(&path);
    let folder = path.parent().unwrap();
    let (file, options) =
        (entry(path.file_name().unwrap().to_str().unwrap()), FileOptions::default());
    let mut site = super::files::site_at(folder);
    let outcome = site.describe(&file, &options).and_then(|schema| {
        let fingerprint = site.fingerprint(&file)?;
        site.read(&file, &fingerprint, &schema, &options, &mut |_| Ok(()))
    });
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = most.and_then(|most| most.trim().trim_end_matches(" kB").parse::<usize>().ok());
    let outcome = match outcome {
        Ok(rows) => format!("{rows} rows"),
        Err(error) => format!("{:?} {error}", error.kind),
    };
    println!("outcome: {} {}", kib.unwrap_or(0) / 1024, outcome.replace('\n', " "));
}

#[test]
fn a_file_beyond_the_limits_is_refused() {
    let folder = TempDir::new().unwrap();
    type Case<'c> = (&'c str, &'c str, &'c dyn Fn(&Path));
    let cases: [Case<'_>; 6] = [
        ("open.csv", "line 3 is too long", &|path| {
            fs::write(path, [b"a,b\n1,2\n3,\"", &b"line\n".repeat(8 * MIB)[..]].concat()).unwrap();
        }),
        ("wide.csv", "line 2 has too many columns", &|path| {
            fs::write(path, [&b"a,b\n"[..], &b"1,".repeat(1_000_000)].concat()).unwrap();
        }),
        // One text of 2 MiB, and rows that refer to it.
        ("references.parquet", "unpacks to far more than its size", &|path| {
            texts(path, 2 * MIB, 30, 20, packed().set_dictionary_page_size_limit(8 * MIB).build());
        }),
        // 1.2 GB of zeros.
        ("zeros.parquet", "unpacks to far more than its size", &|path| {
            texts(path, 8 * MIB, 20, 8, packed().set_dictionary_enabled(false).build());
        }),
        ("page.parquet", "column text: a page of the file is too large", &|path| {
            texts(path, 40 * MIB, 1, 1, packed().set_dictionary_enabled(false).build());
        }),
        ("row.parquet", "row 1 of the file is too long", &|path| {
            texts(path, 17 * MIB, 1, 2, packed().set_dictionary_enabled(false).build());
        }),
    ];
    for (name, words, make) in cases {
        make(&folder.path().join(name));
        let (outcome, mib) = read_alone(&folder, name);
        assert!(outcome.starts_with("Refused") && outcome.contains(words), "{name}: {outcome}");
        assert!(outcome.contains(name), "{name}: {outcome}");
        assert!(mib < MOST_MIB, "{name} took {mib} MiB");
    }
}

/// Once, 8,192 rows were read at a time whatever their length.
#[test]
fn long_texts_are_read_a_few_rows_at_a_time() {
    let folder = TempDir::new().unwrap();
    for (name, dictionary) in [("plain.parquet", false), ("references.parquet", true)] {
        let properties = packed()
            .set_dictionary_enabled(dictionary)
            .set_dictionary_page_size_limit(8 * MIB)
            .build();
        texts(&folder.path().join(name), MIB, 4, 120, properties);
        let (outcome, mib) = read_alone(&folder, name);
        assert_eq!(outcome, "480 rows", "{name}");
        assert!(mib < MOST_MIB, "{name} took {mib} MiB");
    }
}

/// A footer that claims two billion row groups once ended the process.
#[test]
fn a_footer_that_asks_for_the_whole_memory_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut footer = vec![0x15, 0x02, 0x19, 0x2c];
    footer.extend([0x48, 0x01, b'r', 0x15, 0x02, 0x00]);
    footer.extend([0x15, 0x02, 0x25, 0x02, 0x18, 0x01, b'a', 0x00, 0x16, 0x00]);
    footer.extend([0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07, 0x00]);
    let length = u32::try_from(footer.len()).unwrap().to_le_bytes();
    let mut file = File::create(folder.path().join("x.parquet")).unwrap();
    for part in [&b"PAR1"[..], &footer, &length, b"PAR1"] {
        file.write_all(part).unwrap();
    }
    let error = read(&folder, "x.parquet", &FileOptions::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Invalid);
    assert!(error.to_string().contains("footer"), "{error}");
}

/// A row group with fewer rows than its footer says was once taken for complete.
#[test]
fn a_row_group_that_ends_too_early_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.parquet");
    texts(
        &path,
        3,
        1,
        200,
        WriterProperties::builder().set_compression(Compression::UNCOMPRESSED).build(),
    );
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len() - 8;
    let size = u32::from_le_bytes(bytes[end..end + 4].try_into().unwrap()) as usize;
    // 200 and 201 as 64-bit numbers of the footer.
    let mut found = 0;
    for at in end - size..end - 2 {
        if bytes[at..at + 3] == [0x16, 0x90, 0x03] || bytes[at..at + 3] == [0x26, 0x90, 0x03] {
            bytes[at + 1] = 0x92;
            found += 1;
        }
    }
    assert!(found >= 2, "{found}");
    fs::write(&path, bytes).unwrap();
    let error = read(&folder, "x.parquet", &FileOptions::default()).unwrap_err();
    assert_eq!(error.kind, Kind::Refused, "{error}");
    drop(site(&folder));
}
