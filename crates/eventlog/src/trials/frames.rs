//! A frame is the group, and any flipped bit shows.

use super::random::body;
use crate::frame::{Encoded, Found, Frame, Header};
use crate::schemas::Schemas;
use crate::squeeze::Squeezer;
use change::{Group, GroupBody, LaneId, Offset};
use proptest::prelude::*;

fn frame(body: &GroupBody, schemas: &Schemas) -> Frame {
    let encoded = Encoded::new(body, schemas, &Squeezer::default());
    encoded.place(LaneId::mint(5), Offset(9), body)
}

fn found<'a>(header: &Header, body: &'a [u8], checksum: u32) -> Found<'a> {
    Found { header: header.clone(), body, checksum }
}

fn decode(frame: &Frame, schemas: &Schemas) -> Group {
    let mut schema = |number, checksum| Ok(schemas.numbered(number, checksum).unwrap());
    found(&frame.header, &frame.body, frame.checksum)
        .decode(&Squeezer::default(), &mut schema)
        .unwrap()
}

/// The header with each of its bits flipped, one at a time.
fn flipped(header: &Header) -> Vec<Header> {
    let mut all = Vec::new();
    let mut push = |change: &dyn Fn(&mut Header)| {
        let mut other = header.clone();
        change(&mut other);
        all.push(other);
    };
    for bit in 0..63 {
        push(&|h| h.lane = LaneId::from_i64(h.lane.to_i64() ^ (1 << bit)));
    }
    for bit in 0..64 {
        push(&|h| h.offset.0 ^= 1 << bit);
        push(&|h| h.commit_time ^= 1 << bit);
        push(&|h| h.after.sequence ^= 1 << bit);
        push(&|h| h.upto.sequence ^= 1 << bit);
    }
    for bit in 0..32 {
        push(&|h| h.changes ^= 1 << bit);
        push(&|h| h.raw_bytes ^= 1 << bit);
        push(&|h| h.part.index ^= 1 << bit);
    }
    (0..8).for_each(|bit| push(&|h| h.kind ^= 1 << bit));
    push(&|h| h.part.last ^= true);
    push(&|h| h.after.detail = h.after.detail.is_none().then(String::new));
    push(&|h| h.upto.detail = Some(format!("{}x", h.upto.detail.as_deref().unwrap_or(""))));
    push(&|h| h.chunk = Some(format!("{} ", h.chunk.as_deref().unwrap_or(""))));
    push(&|h| std::mem::swap(&mut h.after, &mut h.upto));
    all.retain(|other| other != header);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_group_survives_its_frame(body in body()) {
        let schemas = Schemas::default();
        let group = decode(&frame(&body, &schemas), &schemas);
        prop_assert_eq!(group, Group { lane: LaneId::mint(5), offset: Offset(9), body });
    }

    #[test]
    fn any_flipped_bit_is_noticed(body in body(), phase in 0usize..64) {
        let frame = frame(&body, &Schemas::default());
        for header in flipped(&frame.header) {
            prop_assert!(found(&header, &frame.body, frame.checksum).verify().is_err());
        }
        for bit in 0..32 {
            let wrong = found(&frame.header, &frame.body, frame.checksum ^ (1 << bit));
            prop_assert!(wrong.verify().is_err());
        }
        let mut bytes = frame.body.clone();
        for place in (phase % bytes.len()..bytes.len()).step_by(64) {
            for bit in [0, 3, 7] {
                bytes[place] ^= 1 << bit;
                prop_assert!(found(&frame.header, &bytes, frame.checksum).verify().is_err());
                bytes[place] ^= 1 << bit;
            }
        }
        for length in (0..bytes.len()).step_by(97) {
            let cut = found(&frame.header, &bytes[..length], frame.checksum);
            prop_assert!(cut.verify().is_err());
        }
    }
}

#[test]
fn absent_images_cost_next_to_nothing() {
    use change::value::{Value, batch};
    use change::{ChangeBatch, Column, ColumnType, Op, TableSchema};
    let columns: Vec<Column> =
        (0..8).map(|i| Column::new(format!("c{i}"), ColumnType::Int64, i > 0)).collect();
    let schema = std::sync::Arc::new(TableSchema::new(columns, &["c0"]).unwrap());
    let absent = batch(&schema, &vec![vec![Value::Null; 8]; 100]).unwrap();
    let there = batch(&schema, &vec![vec![Value::Int(7); 8]; 100]).unwrap();
    let size = |op, old: &arrow::array::RecordBatch, new: &arrow::array::RecordBatch| {
        let ordinals = (0..100).collect();
        let changes = ChangeBatch::new(
            "t".into(),
            schema.clone(),
            vec![op; 100],
            ordinals,
            old.clone(),
            new.clone(),
        );
        crate::body::encode(&[changes], &[Schemas::default().of(&schema)]).len()
    };
    let insert = size(Op::Insert, &absent, &there);
    assert!(insert.abs_diff(size(Op::Delete, &there, &absent)) <= 16, "padding differs");
    assert!(insert < 100 * 8 * 8 + 1500, "{insert} bytes");
    assert!(size(Op::Update, &there, &there) > 2 * 100 * 8 * 8);
}
