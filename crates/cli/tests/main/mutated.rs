//! Two hundred damaged projects through the binary: a code of the table, never a panic, nothing written.

use crate::project::Project;
use crate::stock;

/// Seeded (splitmix64), so that a failure comes again.
struct Damage(u64);

const PIECES: &[&str] = &[
    "\"",
    "[",
    "]",
    "{",
    "}",
    "=",
    "\n",
    "'",
    "\"\"\"",
    "[from]\n",
    "mode = 3\n",
    "${env:",
    "\u{0}",
    "\u{feff}",
    "日本",
    "99999999999999999999",
    "{site}",
    "sites = []\n",
    "\\u",
    "sql = \"",
];

impl Damage {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap()
    }

    fn hurt(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let (a, b) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
            let (from, upto) = (a.min(b), a.max(b).min(a.min(b) + 30));
            match self.below(5) {
                0 => drop(bytes.drain(from..upto)),
                1 => {
                    let copy = bytes[from..upto].to_vec();
                    bytes.splice(b..b, copy);
                }
                2 => bytes.insert(a, self.next().to_le_bytes()[0]),
                3 => {
                    let piece = PIECES[self.below(PIECES.len())];
                    bytes.splice(a..a, piece.bytes());
                }
                _ => bytes.truncate(a),
            }
        }
        bytes
    }
}

#[test]
fn damaged_projects_end_with_a_code_and_never_a_panic() {
    let flow = stock::flow(
        "hybrid",
        "[transform]\nsql = \"select sku, qty from stock where qty > 0\"\n[batch]\n\
         schedule = \"0 1 * * *\"\ntimezone = \"Europe/Berlin\"\ncheck = [\"count(*) > 0\"]\n\
         [reconcile]\nschedule = \"@daily\"\nrepair = { max_rows = 5, max_share = \"1%\" }\n",
    );
    let sites = format!(
        "{}[stores]\neach_in = \"stores.csv\"\nurl = \"sqlite:{{site}}.db\"\n",
        stock::SITES
    );
    let files = [
        ("seamount.toml", "name = \"trial\"\nlog = { kind = \"embedded\", keep = \"30d\" }\n"),
        ("sites.toml", sites.as_str()),
        ("stores.csv", "site,region\nparis,eu\noslo,eu\n"),
        ("flows/stock.toml", flow.as_str()),
    ];
    let project = Project::new(&files);
    project.expect("check", 0);
    let mut damage = Damage(2026);
    let mut refused = 0;
    for round in 0..200 {
        let (path, text) = files[damage.below(files.len())];
        project.write(path, damage.hurt(text));
        // Every fourth asks the sites as well, whatever is left of them.
        let line = if round % 4 == 0 { "check --online" } else { "check" };
        let ended = project.run(line);
        assert!(matches!(ended.code, 0 | 69 | 78), "round {round}: {ended:?}");
        assert!(!ended.err.contains("panicked"), "round {round}: {}", ended.err);
        assert!(!ended.last().is_empty(), "round {round}: no summary");
        refused += usize::from(ended.code != 0);
        project.write(path, text);
    }
    assert!(refused > 100, "only {refused} of 200 were refused: the damage is too mild");
    assert_eq!(project.left_behind(), Vec::<String>::new());
    assert!(!project.exists("central.db") && !project.exists("shop.db"));
}
