//! What masks do to rows and changes, against hashes that were made another way.

use super::*;
use crate::batch::Op;
use crate::value::{self, Value};
use arrow::array::BooleanArray;
use proptest::prelude::*;

fn key() -> MaskKey {
    MaskKey::new([1, 2, 3, 4])
}

fn table(columns: &[(&str, ColumnType)]) -> Arc<TableSchema> {
    let columns = columns.iter().map(|(name, ty)| Column::new(*name, *ty, *name != "id"));
    Arc::new(TableSchema::new(columns.collect(), &["id"]).unwrap())
}

fn people() -> Arc<TableSchema> {
    table(&[
        ("id", ColumnType::Int64),
        ("email", ColumnType::Text),
        ("phone", ColumnType::Text),
        ("born", ColumnType::Date),
        ("note", ColumnType::Any),
    ])
}

fn mask(columns: &[(&str, Rule)]) -> TableMask {
    let columns = columns.iter().map(|(name, rule)| (name.to_string(), *rule)).collect();
    TableMask { table: "people".into(), columns }
}

fn all() -> TableMask {
    mask(&[
        ("EMAIL", Rule::Hash),
        ("phone", Rule::Drop),
        ("born", Rule::Mask),
        ("note", Rule::Mask),
    ])
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn row(id: i64, email: &str) -> Vec<Value> {
    vec![Value::Int(id), text(email), text("+49 1"), Value::Date(7), text("private")]
}

/// The hash of a text, without this crate's encoder: tag 3, length, bytes.
fn hash_of_text(text: &str) -> String {
    let mut cell = vec![3];
    cell.extend_from_slice(&u32::try_from(text.len()).unwrap().to_le_bytes());
    cell.extend_from_slice(text.as_bytes());
    let secret: Vec<u8> = [1u64, 2, 3, 4].iter().flat_map(|word| word.to_le_bytes()).collect();
    let hash = blake3::keyed_hash(&secret.try_into().unwrap(), &cell);
    hash.to_hex().to_string()[..32].to_string()
}

#[test]
fn each_rule_does_what_it_says_and_null_stays_null() {
    let masked = MaskedTable::plan(&all(), &people()).unwrap();
    let nobody = vec![Value::Int(2), Value::Null, Value::Null, Value::Null, Value::Null];
    let rows = value::batch(&people(), &[row(1, "ada@example.org"), nobody]).unwrap();
    let out = masked.rows(&key(), &rows);
    let names: Vec<&str> = masked.output().columns().iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["id", "email", "born", "note"]);
    let hash = hash_of_text("ada@example.org");
    assert_eq!(
        Value::row(&out, masked.output(), 0),
        [Value::Int(1), text(&hash), Value::Null, text("***")]
    );
    assert_eq!(Value::row(&out, masked.output(), 1)[1..], [Value::Null, Value::Null, Value::Null]);
}

/// A mask of one column took the declared type of all others, and a PostgreSQL target refused them.
#[test]
fn a_mask_leaves_other_columns_declared_as_they_are() {
    let column = |name| Column::new(name, ColumnType::Text, true).declared("jsonb");
    let columns = vec![Column::new("id", ColumnType::Int64, false), column("a"), column("b")];
    let schema = Arc::new(TableSchema::new(columns, &["id"]).unwrap());
    let masked = MaskedTable::plan(&mask(&[("b", Rule::Mask)]), &schema).unwrap();
    let declared = masked.output().columns().iter().map(|column| column.declared.as_deref());
    assert_eq!(declared.collect::<Vec<_>>(), [None, Some("jsonb"), None], "stars are no jsonb");
}

#[test]
fn a_hash_is_of_the_typed_value() {
    let schema = |ty| table(&[("id", ColumnType::Int64), ("email", ty)]);
    let hashed = |ty, cell: Value| {
        let masked = MaskedTable::plan(&mask(&[("email", Rule::Hash)]), &schema(ty)).unwrap();
        assert_eq!(masked.output().columns()[1].ty, ColumnType::Text);
        let rows = value::batch(&schema(ty), &[vec![Value::Int(1), cell]]).unwrap();
        Value::row(&masked.rows(&key(), &rows), masked.output(), 0).remove(1)
    };
    let one = hashed(ColumnType::Int64, Value::Int(1));
    assert_eq!(hashed(ColumnType::Any, Value::Int(1)), one, "joins stay joins over types");
    let decimal = ColumnType::Decimal { precision: 9, scale: 2 };
    assert_eq!(hashed(decimal, Value::Decimal { unscaled: 100, scale: 2 }), one);
    assert_ne!(hashed(ColumnType::Text, text("1")), one, "1 is not '1'");
    assert_ne!(hashed(ColumnType::Float64, Value::float(1.0)), one);
}

#[test]
fn another_key_gives_other_hashes_and_is_never_shown() {
    let other = MaskKey::new([1, 2, 3, 5]);
    assert_ne!(other.hash(b"x"), key().hash(b"x"));
    assert_eq!(MaskKey::read(&key().reveal()), Some(key()));
    assert_eq!(MaskKey::read("12"), None);
    assert_eq!(MaskKey::read(&"ä".repeat(32)), None);
    assert!(!format!("{:?}", key()).contains("01"));
}

#[test]
fn a_rule_that_cannot_be_kept_is_an_error() {
    let plan = |rules: &[(&str, Rule)]| MaskedTable::plan(&mask(rules), &people()).unwrap_err();
    assert_eq!(plan(&[("mail", Rule::Drop)]), Unfit::NoColumn("mail".into()));
    for rule in [Rule::Drop, Rule::Hash, Rule::Mask] {
        assert_eq!(plan(&[("Id", rule)]), Unfit::Key("Id".into()));
    }
    let columns = vec![
        Column::new("id", ColumnType::Int64, false),
        Column::new("born", ColumnType::Date, false),
    ];
    let strict = Arc::new(TableSchema::new(columns, &["id"]).unwrap());
    let born = mask(&[("born", Rule::Mask)]);
    let unfit = MaskedTable::plan(&born, &strict).unwrap_err();
    assert_eq!(unfit, Unfit::NotNullable { column: "born".into(), ty: ColumnType::Date });
}

#[test]
fn old_images_are_masked_and_cells_that_were_not_sent_stay_unsent() {
    let schema = people();
    let absent = vec![Value::Null; 5];
    let mut unsent = row(1, "");
    unsent[1] = Value::Null;
    let changes = ChangeBatch::new(
        "people".into(),
        schema.clone(),
        vec![Op::Update, Op::Delete],
        vec![0, 1],
        value::batch(&schema, &[row(1, "ada@example.org"), row(2, "bob@example.org")]).unwrap(),
        value::batch(&schema, &[unsent, absent]).unwrap(),
    );
    let not_sent = |at: usize| (at == 1).then(|| BooleanArray::from(vec![true, false]));
    let changes = changes.with_unchanged((0..5).map(not_sent).collect());
    let masked = MaskedTable::plan(&all(), &schema).unwrap().changes(&key(), &changes);
    let old = Value::row(masked.old(), masked.schema(), 1);
    assert_eq!(old[1], text(&hash_of_text("bob@example.org")));
    assert_eq!(masked.unchanged()[1], Some(BooleanArray::from(vec![true, false])));
    assert_eq!(masked.unchanged().iter().flatten().count(), 1);
    assert!(masked.new_images().column(1).is_null(0), "not sent is not the hash of null");
    assert!(masked.has_old_image(0) && masked.old().column(0).is_valid(0), "keys pass");
}

#[test]
fn definitions_do_not_depend_on_spelling_or_order() {
    let one = mask(&[("email", Rule::Hash), ("phone", Rule::Drop)]);
    let other = mask(&[("PHONE", Rule::Drop), ("Email", Rule::Hash)]);
    assert_eq!(one.definition(), other.definition());
    assert_ne!(one.definition(), mask(&[("email", Rule::Drop)]).definition());
    let mut shouted = other.clone();
    shouted.table = "PEOPLE".into();
    let split = super::super::Masks::new([mask(&[("email", Rule::Hash)]), shouted]);
    assert_eq!(split.of("People").unwrap().columns.len(), 3);
    assert_eq!(split.tables().count(), 1);
}

proptest! {
    /// Hashing keeps which cells are equal, and nothing of a masked cell is in what comes out.
    #[test]
    fn equal_stays_equal_and_nothing_of_the_value_is_left(
        mails in prop::collection::vec("[a-z]{6,12}@[a-z]{6}", 1..20)
    ) {
        let rows: Vec<_> = mails.iter().enumerate().map(|(n, mail)| row(n as i64, mail)).collect();
        let masked = MaskedTable::plan(&all(), &people()).unwrap();
        let out = masked.rows(&key(), &value::batch(&people(), &rows).unwrap());
        let cells: Vec<String> = (0..rows.len())
            .map(|n| Value::row(&out, masked.output(), n)[1].to_string())
            .collect();
        for (a, hash_a) in mails.iter().zip(&cells) {
            for (b, hash_b) in mails.iter().zip(&cells) {
                prop_assert_eq!(a == b, hash_a == hash_b);
            }
        }
        let everything = format!("{out:?}");
        for mail in &mails {
            prop_assert!(!everything.contains(mail.as_str()));
        }
        prop_assert!(!everything.contains("+49 1") && !everything.contains("private"));
    }
}
