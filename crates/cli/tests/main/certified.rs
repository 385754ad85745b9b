//! Certificates: every flipped byte and every removed link is found and placed, in a file as in the state folder.
//!
//! What is flipped and removed here is the bytes, with plain file writes and plain SQL.

use crate::project::{Ended, Project, finish};
use crate::stock;
use rusqlite::params;
use std::process::Command;

/// A project with four certificates: EQUAL, DIFFERENT, DIFFERENT and, mended, EQUAL.
fn proved() -> Project {
    let project = stock::project("event", "", 100);
    project.expect("run stock --once", 0);
    project.expect("reconcile stock", 0);
    project.db("central.db").execute("update stock set qty = qty + 1 where qty > 95", []).unwrap();
    project.expect("reconcile stock", 2);
    project.expect("reconcile stock --repair --max-share 50", 0);
    project
}

/// The stored certificates, by place.
fn bodies(project: &Project) -> Vec<Vec<u8>> {
    let state = project.db(".seamount/state.db");
    let mut read = state.prepare("select body from certificate order by number").unwrap();
    read.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Puts certificates into the state, and none beside them.
fn store(project: &Project, bodies: &[&Vec<u8>]) {
    let state = project.db(".seamount/state.db");
    let (flow, made_at): (i64, i64) = state
        .query_row("select flow, made_at from certificate", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    state.execute("delete from certificate where number > 1", []).unwrap();
    let insert = "insert or replace into certificate (number, flow, made_at, verdict, body)
                  values (?1, ?2, ?3, 'EQUAL', ?4)";
    for (place, body) in (1_i64..).zip(bodies) {
        state.execute(insert, params![place, flow, made_at, body]).unwrap();
    }
}

fn verify(project: &Project, code: i32, more: &str) -> Ended {
    project.expect(&format!("certificate verify {more} --json"), code)
}

fn flipped(bytes: &[u8], place: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[place] ^= 1;
    bytes
}

/// In each line its first byte, one in the middle, and its end; all bytes of a verdict.
#[test]
fn every_flipped_byte_is_found_and_placed() {
    let project = proved();
    let file = project.path("all.certificates");
    let path = file.display().to_string();
    project.expect(&format!("certificate export stock --to {path}"), 0);
    let sound = std::fs::read(&file).unwrap();
    assert_eq!(sound, bodies(&project).concat());
    verify(&project, 0, &path);
    let (mut begin, mut tried) = (0, 0);
    for (n, line) in sound.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let mut places = vec![0, line.len() / 2, line.len() - 1];
        if line.starts_with(b"\"verdict\"") {
            places = (0..line.len()).collect();
        }
        for place in places {
            std::fs::write(&file, flipped(&sound, begin + place)).unwrap();
            let told = verify(&project, 1, &path);
            assert_eq!(told.summary()["line"], n + 1, "byte {place} of line {}: {told:?}", n + 1);
            assert_eq!(told.objects("error")[0]["code"], "E0523", "{told:?}");
            tried += 1;
        }
        begin += line.len();
    }
    assert!(tried > 500, "only {tried} bytes were flipped");
    std::fs::write(&file, &sound).unwrap();
    verify(&project, 0, &path);
}

#[test]
fn every_damaged_certificate_of_the_state_is_named_with_its_field() {
    let project = proved();
    let sound = bodies(&project);
    let verdict = b"\n\"verdict\":\"";
    for (n, body) in sound.iter().enumerate() {
        let at = body.windows(verdict.len()).position(|part| part == verdict).unwrap();
        let damaged = flipped(body, at + verdict.len());
        let mut altered: Vec<&Vec<u8>> = sound.iter().collect();
        altered[n] = &damaged;
        store(&project, &altered);
        for line in ["certificate verify stock", "certificate verify", "audit verify"] {
            let told = project.expect(&format!("{line} --json"), 1).summary();
            assert_eq!((&told["first_bad"], &told["field"]), (&(n + 1).into(), &"verdict".into()));
        }
        let told = project.expect("certificate list stock --all", 0);
        assert!(told.out.contains("DAMAGED: line "), "{}", told.out);
        assert!(told.last().contains("1 damaged"), "{}", told.out);
        let told = project.expect(&format!("certificate show stock/{}", n + 1), 1);
        assert!(told.err.contains("E0523") && told.err.contains("(verdict)"), "{}", told.err);
    }
    // Proofs go on behind a newest one that is damaged; the place stays named.
    project.expect("reconcile stock", 0);
    assert_eq!(verify(&project, 1, "stock").summary()["first_bad"], 4);
    let told = project.expect("status", 0);
    assert!(told.out.contains("DAMAGED"), "{}", told.out);
}

#[test]
fn every_removed_moved_or_doubled_link_is_named() {
    let project = proved();
    let sound = bodies(&project);
    let all = [0, 1, 2, 3];
    let without = |gone: usize| all.into_iter().filter(|n| *n != gone).collect::<Vec<_>>();
    let mut cases: Vec<(Vec<usize>, usize)> = all.iter().map(|n| (without(*n), n + 1)).collect();
    cases.extend([
        (vec![0, 2, 1, 3], 2),
        (vec![0, 1, 3, 2], 3),
        (vec![0, 0, 1, 2, 3], 2),
        (vec![0, 1, 2, 3, 3], 5),
        (vec![0], 2),
    ]);
    for (order, named) in cases {
        let chosen: Vec<&Vec<u8>> = order.iter().map(|n| &sound[*n]).collect();
        store(&project, &chosen);
        for line in ["certificate verify stock", "certificate verify all", "audit verify"] {
            let told = project.expect(&format!("{line} --json"), 1);
            assert_eq!(told.summary()["first_bad"], named, "{order:?}: {}", told.out);
        }
    }
    store(&project, &sound.iter().collect::<Vec<_>>());
    verify(&project, 0, "stock");
    // Nothing at all is left: the audit log still knows that there was something.
    project.db(".seamount/state.db").execute("delete from certificate", []).unwrap();
    assert_eq!(verify(&project, 1, "all").summary()["first_bad"], 1);
    // A proof behind a missing one does not hide it.
    project.expect("reconcile stock", 0);
    assert_eq!(verify(&project, 1, "stock").summary()["first_bad"], 1);
}

/// The newest certificate goes, and with it what the audit log says of it.
#[test]
fn whoever_cuts_off_the_audit_log_too_is_seen() {
    let project = proved();
    let state = project.db(".seamount/state.db");
    state.execute_batch("delete from certificate where number = 4").unwrap();
    state
        .execute_batch("delete from audit where number = (select max(number) from audit)")
        .unwrap();
    let told = project.expect("certificate verify stock", 1);
    assert!(told.err.contains("E0520"), "{}", told.err);
    // Both files written anew: only a head kept elsewhere tells.
    let head = "4:".to_string() + &"ab".repeat(32);
    std::fs::remove_file(project.path(".seamount/audit.heads")).unwrap();
    verify(&project, 0, "stock");
    assert_eq!(verify(&project, 1, &format!("stock --head {head}")).summary()["first_bad"], 4);
}

#[test]
fn a_file_is_verified_without_project_and_engine() {
    let project = proved();
    let path = |name: &str| project.path(name).display().to_string();
    let (all, part) = (path("all.txt"), path("part.txt"));
    let told = project.expect(&format!("certificate export stock --to {all} --json"), 0).summary();
    let head = told["head"].as_str().unwrap().to_string();
    let told = project.expect(&format!("certificate export stock --to {part} --after 2 --json"), 0);
    let after = told.summary()["after"].as_str().unwrap().to_string();
    project.expect(&format!("certificate export stock --to {all}"), 1);

    let elsewhere = tempfile::tempdir().unwrap();
    let typed = |line: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_seamount"));
        command.current_dir(elsewhere.path()).args(line.split_whitespace());
        command.stdin(std::process::Stdio::null());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        finish(command, line)
    };
    std::fs::copy(&all, elsewhere.path().join("all.txt")).unwrap();
    let ended = typed(&format!("certificate verify ./all.txt --head {head}"));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.last().contains("4 certificates in an unbroken chain"), "{}", ended.last());
    assert_eq!(typed(&format!("certificate verify {part} --after {after} --head {head}")).code, 0);
    // A part says by itself that its beginning is missing; a lost end is told by a head alone.
    let ended = typed(&format!("certificate verify {part}"));
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("stock/1") && ended.err.contains("effect:"), "{}", ended.err);
    let bodies = bodies(&project);
    std::fs::write(elsewhere.path().join("cut.txt"), bodies[..3].concat()).unwrap();
    assert_eq!(typed("certificate verify ./cut.txt").code, 0);
    let ended = typed(&format!("certificate verify ./cut.txt --head {head}"));
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("cut off") && ended.err.contains("the 3 certificates before it"));
    for (file, code) in [("", 3), ("no certificate\n", 1), ("{\"format\":1,\n", 1)] {
        std::fs::write(elsewhere.path().join("no.txt"), file).unwrap();
        assert_eq!(typed("certificate verify ./no.txt").code, code, "{file:?}");
    }
    assert_eq!(typed("certificate verify ./missing.txt").code, 1);
    assert_eq!(typed("certificate verify ./all.txt --head nonsense").code, 64);
}

#[test]
fn a_page_is_written_once_and_the_worst_is_listed_first() {
    let project = proved();
    let page = project.path("page.html");
    let line = format!("certificate show stock/2 --html {}", page.display());
    project.expect(&line, 0);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("DIFFERENT") && text.contains("shop.stock"), "{text}");
    assert!(!text.contains("sku-"), "no row of a table is on the page");
    project.expect(&line, 1);
    assert_eq!(std::fs::read_to_string(&page).unwrap(), text);
    // What was mended stands in the proof behind it.
    let told = project.expect("certificate show stock", 0);
    assert!(told.out.contains("rows that certificate 3 found were repaired"), "{}", told.out);
    project.expect("certificate show stock/9", 64);

    project
        .db("north.db")
        .execute_batch("create table stock (sku text primary key not null)")
        .unwrap();
    let sites = format!("{}[north]\nurl = \"sqlite:north.db\"\n", stock::SITES);
    project.write("sites.toml", sites);
    let other = stock::flow("event", "").replace("\"shop\"", "\"north\"").replace(
        "[to]\nsite = \"central\"\ntable = \"stock\"",
        "[to]\nsite = \"central\"\ntable = \"other\"",
    );
    project.write("flows/other.toml", other);
    project.expect("run other --once", 0);
    project.expect("reconcile other", 3);
    let listed = project.expect("certificate list --json", 0);
    let flows: Vec<String> =
        listed.objects("certificate").iter().map(|c| c["flow"].to_string()).collect();
    assert_eq!(flows, ["\"other\"", "\"stock\""], "{}", listed.out);
    project.expect("certificate verify", 0);
}

/// Answers of a running engine hold rows; the state keeps none of them.
#[test]
fn rows_that_were_answered_are_forgotten() {
    let project = stock::project("event", "", 50);
    project.expect("run stock --once", 0);
    let engine = crate::engine_process::EngineProcess::start(&project);
    let central = project.db("central.db");
    central.execute("update stock set note = 'quite-unheard-of' where qty > 60", []).unwrap();
    let told = project.expect("diff stock", 2);
    assert!(told.out.contains("quite-unheard-of"), "{}", told.out);
    let state = project.db(".seamount/state.db");
    assert_eq!(crate::oracle::number(&state, "select count(*) from request"), 0);
    drop(state);
    engine.terminate();
    let bytes = std::fs::read(project.path(".seamount/state.db")).unwrap();
    let mark = b"quite-unheard-of";
    assert!(!bytes.windows(mark.len()).any(|part| part == mark), "a row lies in state.db");
}
