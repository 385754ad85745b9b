//! Canaries: secrets put everywhere a user could put one. None may be seen in what is printed or stored (S1, S2).
//!
//! Every canary begins with the same mark, so that a part of one is a find too.

use crate::engine_process::EngineProcess;
use crate::project::{Ended, Project, finish, wait_until};
use crate::stock;
use std::path::Path;
use std::process::Command;

const MARK: &str = "canary";

/// A canary made of a number and of signs that divide urls, paths and lines.
fn canary(number: usize) -> String {
    let between = ["@", ":", "/", "?", "#", "&", "=", "'", " ", "%"][number % 10];
    format!("{MARK}{number:02}a{between}{MARK}{number:02}b")
}

/// A canary that can name a file.
fn name(number: usize) -> String {
    format!("{MARK}{number:02}")
}

/// Commands that look, and commands that act.
const COMMANDS: &[&str] = &[
    "check",
    "check --online",
    "plan",
    "sites",
    "sites list",
    "sites test",
    "sites test shop",
    "sites discover shop",
    "sites discover central",
    "run stock --once",
    "status",
    "status stock",
    "diff stock",
    "reconcile stock",
    "reconcile stock --repair",
    "certificate list stock",
    "certificate show stock",
    "certificate verify stock",
    "dlq list stock",
    "dlq list stock --all",
    "dlq show stock 1",
    "dlq replay stock",
    "runs list",
    "runs show 1",
    "pause stock",
    "resume stock",
    "resync stock",
    "replay stock --into history",
    "audit list",
    "audit verify",
    "audit head",
    "explain E0209",
];

/// Looks for the mark in what a command said.
#[track_caller]
fn quiet(line: &str, ended: &Ended) {
    for said in [&ended.out, &ended.err] {
        let found = said.lines().find(|text| text.contains(MARK));
        assert!(found.is_none(), "`{line}` shows a canary: {}", found.unwrap());
    }
}

/// Looks for the mark in every file below a folder, and in the names of the files.
#[track_caller]
fn quiet_files(folder: &Path) -> usize {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        assert!(!path.file_name().unwrap().to_string_lossy().contains(MARK), "{path:?}");
        if path.is_dir() {
            looked_at += quiet_files(&path);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(MARK.len()).any(|window| window == MARK.as_bytes());
        assert!(!found, "{} holds a canary", path.display());
        looked_at += 1;
    }
    looked_at
}

fn secret_file(project: &Project, path: &str, text: impl AsRef<[u8]>, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    project.write(path, text);
    std::fs::set_permissions(project.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
}

/// The command with canaries in its environment: those that are used, and those that are nobody's business.
fn with_secrets(project: &Project, line: &str) -> Command {
    let mut command = project.command(line);
    command
        .env("SHOP_FOLDER", name(1))
        .env("CENTRAL_URL", format!("sqlite:{}.db", name(2)))
        .env("OPTION", canary(4))
        .env("EXPORTS", name(5))
        .env("PGPASSWORD", canary(6))
        .env("AWS_SECRET_ACCESS_KEY", canary(7))
        .env("UNUSED", canary(8));
    command
}

fn run(project: &Project, line: &str) -> Ended {
    let ended = finish(with_secrets(project, line), line);
    quiet(line, &ended);
    ended
}

/// A project that works, with a secret in every place that takes one.
fn project() -> Project {
    let project = Project::new(&[
        ("seamount.toml", stock::PROJECT),
        (
            "sites.toml",
            "[shop]\nurl = \"sqlite:${env:SHOP_FOLDER}/shop.db\"\npassword = \"${env:OPTION}\"\n\
             api_token = \"${file:keys/token}\"\nbusy_timeout_ms = 30000\n\n\
             [central]\nurl = \"${env:CENTRAL_URL}\"\nbusy_timeout_ms = \"${file:keys/timeout}\"\n\n\
             [exports]\nurl = \"files:${env:EXPORTS}\"\n",
        ),
        (
            "flows/stock.toml",
            &stock::flow("event", "[events]\ndead_letter = { after = 1, stop_at = \"90%\" }\n"),
        ),
    ]);
    secret_file(&project, "keys/token", format!("{}\n", canary(3)), 0o600);
    secret_file(&project, "keys/timeout", "30000\n", 0o400);
    project.write(&format!("{}/day.csv", name(5)), "a\n1\n");
    std::fs::create_dir_all(project.path(&name(1))).unwrap();
    let shop = project.db(&format!("{}/shop.db", name(1)));
    stock::build(&shop);
    stock::fill(&shop, 60);
    // A row that the centre refuses, for a letter.
    project
        .db(&format!("{}.db", name(2)))
        .execute_batch(
            "create table stock (sku text not null primary key, qty integer check (qty < 1000),
                                 price decimal(10,2), note text)",
        )
        .unwrap();
    project
}

#[test]
fn none_is_seen_while_all_goes_well() {
    let project = project();
    assert_eq!(run(&project, "run stock --once").code, 0);
    let shop = project.db(&format!("{}/shop.db", name(1)));
    shop.execute("update stock set qty = 5000 where sku = 'sku-00003'", []).unwrap();
    for line in COMMANDS {
        run(&project, line);
        run(&project, &format!("{line} --json"));
    }
    let discard = ["dlq", "discard", "stock", "1", "--because", "known"].join(" ");
    run(&project, &discard);
    assert!(quiet_files(&project.path(".seamount")) >= 4);
}

#[test]
fn none_is_seen_of_a_service() {
    let project = project();
    let engine = EngineProcess::of(with_secrets(&project, "run"));
    let lock = project.path(".seamount/lock");
    wait_until("the engine holds the project", || {
        std::fs::read_to_string(&lock).unwrap_or_default().contains("pid")
    });
    let shop = project.db(&format!("{}/shop.db", name(1)));
    shop.execute("update stock set qty = 7 where sku = 'sku-00003'", []).unwrap();
    for line in
        ["status", "status --json", "reconcile stock", "reconcile stock --json", "pause stock"]
    {
        run(&project, line);
    }
    let cmdline = std::fs::read(format!("/proc/{}/cmdline", engine.id())).unwrap();
    assert!(!String::from_utf8_lossy(&cmdline).contains(MARK), "{cmdline:?}");
    // The shop's folder is gone: the engine goes on and says so, and not where.
    std::fs::rename(project.path(&name(1)), project.path("elsewhere")).unwrap();
    wait_until("the shop is down", || {
        let ended = run(&project, "status --json");
        ended.out.contains("\"down\"") || ended.out.contains("\"stopped\"")
    });
    quiet_files(&project.path(".seamount"));
    quiet("run", &engine.terminate());
    quiet_files(&project.path(".seamount"));
}

/// One thing that is wrong: lines of `sites.toml`, and what must be said of it.
struct Wrong {
    central: String,
    says: &'static str,
}

/// Mistakes around a secret, each with another canary.
fn mistakes(project: &Project) -> Vec<Wrong> {
    let wrong = |central: String, says| Wrong { central, says };
    secret_file(project, "keys/open", canary(10), 0o644);
    secret_file(project, "keys/bytes", [canary(11).as_bytes(), b"\xff"].concat(), 0o600);
    secret_file(project, "keys/long", canary(12).repeat(9_000), 0o600);
    secret_file(project, "keys/scheme", format!("{}:x", canary(13)), 0o600);
    secret_file(project, "keys/folder", name(14), 0o600);
    secret_file(project, "keys/text", format!("{}.txt", name(15)), 0o600);
    secret_file(project, "keys/gone", format!("{}/x.db", name(16)), 0o600);
    secret_file(project, "keys/number", canary(17), 0o600);
    std::os::unix::fs::symlink("open", project.path("keys/link")).unwrap();
    std::fs::create_dir(project.path(&name(14))).unwrap();
    project.write(&format!("{}.txt", name(15)), "this is no database at all, and never was one");
    let url = |file: &str| format!("url = \"sqlite:${{file:keys/{file}}}\"\n");
    vec![
        wrong(url("open"), "E0211"),
        wrong(url("link"), "E0211"),
        wrong(url("bytes"), "E0209"),
        wrong(url("long"), "E0209"),
        wrong(url("none"), "E0209"),
        wrong("url = \"${file:keys/scheme}\"\n".into(), "E0203"),
        wrong(url("folder"), "cannot"),
        wrong(url("text"), "database"),
        wrong(url("gone"), "no database"),
        wrong(
            "url = \"sqlite:c.db\"\nbusy_timeout_ms = \"${file:keys/number}\"\n".into(),
            "busy_timeout_ms",
        ),
        wrong("url = \"files:${file:keys/gone}\"\n".into(), "E03"),
        wrong(format!("url = \"postgres://sync:{}@db/stock\"\n", canary(20)), "E0204"),
        wrong(format!("url = \"postgres://sync:a@b/{}@db/stock\"\n", canary(21)), "E0204"),
        wrong(format!("url = \"sqlite:c.db?password={}\"\n", canary(22)), "E0204"),
        wrong(format!("url = \"sqlite:c.db\"\npassword = \"{}\"\n", canary(23)), "E0204"),
        wrong(format!("url = \"sqlite:c.db\"\npassword = {}\n", name(24)), "E0103"),
        wrong(format!("url = \"sqlite:c.db\"\ntoken = \"\"\"\n{}\n\"\"\"\n", canary(25)), "E0204"),
        wrong(format!("url = \"sqlite:c.db\"\nsecret = '{}\n", canary(26)), "E0103"),
        wrong(format!("url = \"sqlite:c.db\"\nsecret = {{ a = \"{}\" }}\n", name(27)), "E010"),
        wrong(
            format!("url = \"sqlite:c.db\"\npassword = \"${{env:NONE}}{}\"\n", canary(28)),
            "E0204",
        ),
        wrong("url = \"sqlite:${cmd:cat keys/open}\"\n".into(), "E0212"),
    ]
}

#[test]
fn none_is_seen_when_something_is_wrong() {
    let project = project();
    let shop = format!("[shop]\nurl = \"sqlite:{}/shop.db\"\n", "${env:SHOP_FOLDER}");
    for Wrong { central, says } in mistakes(&project) {
        project.write("sites.toml", format!("{shop}[central]\n{central}"));
        let mut said = String::new();
        for line in ["check", "check --online", "plan", "sites test", "run stock --once", "status"]
        {
            let ended = run(&project, line);
            run(&project, &format!("{line} --json"));
            said.push_str(&ended.out);
            said.push_str(&ended.err);
        }
        assert!(said.contains(says), "{says} is not said of\n{central}\n{said}");
    }
    quiet_files(&project.path(".seamount"));
}

#[test]
fn none_is_seen_of_a_list_a_flow_or_a_command_line() {
    let project = project();
    let list = format!("site,password\nparis,{}\noslo,{},{}\n", canary(30), canary(31), canary(32));
    project.write("stores.csv", list);
    let sites = "[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{site}.db\"\n";
    project.write("sites.toml", sites);
    assert!(run(&project, "check").err.contains("E0204"));
    project.write("sites.toml", stock::SITES);
    project.write("seamount.toml", format!("name = \"trial\"\napi_key = \"{}\"\n", canary(33)));
    assert!(run(&project, "check").err.contains("E0104"));
    project.write("seamount.toml", stock::PROJECT);
    let flow = stock::flow("event", &format!("password = \"{}\"\n", canary(34)));
    project.write("flows/stock.toml", flow);
    assert!(run(&project, "check").err.contains("E0104"));
    for url in [
        format!("postgres://sync:{}@db/stock", name(35)),
        format!("sqlite:none.db?password={}", name(36)),
        format!("files:none?token={}", name(37)),
    ] {
        let empty = Project::new(&[]);
        for side in ["--from", "--to"] {
            run(&empty, &format!("init {side} {url}"));
        }
        assert!(!empty.exists("sites.toml"), "init wrote a password down");
    }
}

#[test]
fn a_program_gives_a_secret_where_the_operator_allows_it() {
    let project = project();
    let name = format!("{}.db", name(40));
    secret_file(&project, "keys/db", &name, 0o600);
    let program = format!("cat {}", project.path("keys/db").display());
    let shop = "[shop]\nurl = \"sqlite:${env:SHOP_FOLDER}/shop.db\"\n";
    let central = |program: &str| format!("{shop}[central]\nurl = \"sqlite:${{cmd:{program}}}\"\n");
    project.write("sites.toml", central(&program));
    let allowed = |line: &str| {
        let mut command = with_secrets(&project, line);
        command.env("SEAMOUNT_SECRET_COMMANDS", "allow");
        let ended = finish(command, line);
        quiet(line, &ended);
        ended
    };
    assert_eq!(run(&project, "check").code, 78, "it is off");
    assert_eq!(allowed("run stock --once").code, 0);
    assert!(project.exists(&name), "the secret was not used");
    for bad in ["false", "no-such-program-anywhere", "true"] {
        project.write("sites.toml", central(bad));
        assert!(allowed("check").err.contains("E0209"), "{bad}");
    }
    quiet_files(&project.path(".seamount"));
}

/// A password is changed while the engine runs: the next time that it is used, it is the new one.
#[test]
fn a_changed_secret_needs_no_restart() {
    let project = project();
    secret_file(&project, "keys/where", name(1), 0o600);
    let sites = std::fs::read_to_string(project.path("sites.toml")).unwrap();
    project.write("sites.toml", sites.replace("${env:SHOP_FOLDER}", "${file:keys/where}"));
    let engine = EngineProcess::of(with_secrets(&project, "run"));
    let applied = || {
        let central = project.db(&format!("{}.db", name(2)));
        central.query_row("select count(*) from stock", [], |row| row.get(0)).unwrap_or(0i64)
    };
    wait_until("the shop is at the centre", || applied() == 60);
    // The shop moves, with all that it is: the same file under another name.
    std::fs::rename(project.path(&name(1)), project.path(&name(50))).unwrap();
    secret_file(&project, "keys/where", name(50), 0o600);
    let shop = project.db(&format!("{}/shop.db", name(50)));
    wait_until("a new row of the moved shop is at the centre", || {
        let sql = "insert into stock (sku, qty) select 'new-' || count(*), 1 from stock";
        shop.execute(sql, []).unwrap();
        applied() > 60
    });
    quiet("run", &engine.terminate());
    quiet_files(&project.path(".seamount"));
}
