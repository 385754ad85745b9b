//! Much at once, and nothing for long: memory that stays flat, places that move on beside a busy neighbour.

use crate::postgres_application::{Application, Identity, drain};
use connect::log::Bounds;

/// Rows of the huge transaction; a million on demand (`SEAMOUNT_ROWS`).
fn rows() -> u64 {
    std::env::var("SEAMOUNT_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(60_000)
}

/// Bytes of our memory, at most until now.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_huge_transaction_takes_no_more_memory_than_a_group() {
    let mut application = Application::new(Identity::Default);
    application.sql("CREATE TABLE items (id int PRIMARY KEY, name text)");
    let mut reader = application.fresh(&["items"]);
    let sql = format!(
        "INSERT INTO items SELECT n, repeat('x', 100) FROM generate_series(1, {}) n",
        rows()
    );
    application.sql(&sql);
    let bounds = Bounds { changes: 2_000, bytes: 1 << 20 };
    let (mut changes, mut largest, mut parts) = (0, 0, 0);
    let mut patience = 3_000;
    while patience > 0 {
        // The server decodes all of it before it sends the first row.
        let Some(group) = reader.poll(bounds).unwrap() else {
            patience -= 1;
            reader.wait(std::time::Duration::from_millis(20)).unwrap();
            continue;
        };
        assert_eq!(group.part.index, parts);
        assert!(group.changes() <= 2_000);
        changes += group.changes() as u64;
        largest = largest.max(group.memory());
        parts += 1;
        if group.part.last {
            break;
        }
    }
    assert_eq!(changes, rows());
    assert!(u64::from(parts) >= rows() / 2_000);
    assert!(largest < 4 << 20, "a part holds {largest} bytes");
    println!("{} rows, {parts} parts, peak of the process {} MiB", rows(), peak() >> 20);
}

/// The neighbour's log need not be kept for us: a place of its own moves on, in groups without changes.
#[test]
fn a_place_moves_on_beside_a_busy_neighbour() {
    let mut application = Application::new(Identity::Default);
    application.sql("CREATE TABLE quiet (id int PRIMARY KEY); CREATE TABLE busy (n int, t text)");
    let mut reader = application.fresh(&["quiet"]);
    let busy = "INSERT INTO busy SELECT n, repeat('x', 400) FROM generate_series(1, 50000) n";
    application.sql(busy);
    assert_eq!(drain(reader.as_mut()), [], "nothing of ours has happened");
    // Whoever writes next makes the message durable.
    application.sql("INSERT INTO busy VALUES (0, 'next')");
    let groups = drain(reader.as_mut());
    let group = groups.last().expect("the place comes");
    assert_eq!(group.changes(), 0);
    reader.acknowledge(&group.upto).unwrap();
    let resume =
        connect::Resume::After { history: reader.history().clone(), position: group.upto.clone() };
    drop(reader);
    let mut again = application.capture(&["quiet"], &resume).unwrap();
    application.sql("INSERT INTO quiet VALUES (1)");
    assert_eq!(drain(again.as_mut()).iter().map(|g| g.changes()).sum::<usize>(), 1);
}
