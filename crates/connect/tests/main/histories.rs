//! Random histories: the memory implementations against models that are too simple to be wrong.

use change::{
    ColumnType, FlowId, Generation, GroupBody, HolderId, Key, Op, SnapshotId, TableSchema, Value,
};
use connect::memory::sample::{keys, rows, shape, target_table};
use connect::memory::{Edit, MemorySource, MemoryTarget};
use connect::{
    Bounds, Claim, KeyRange, Kind, ReadRequest, Resume, RowWork, Scan, Source, Target, TargetTable,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

type Model = BTreeMap<i64, i64>;

fn schema() -> Arc<TableSchema> {
    shape(&[("id", ColumnType::Int64), ("n", ColumnType::Int64)], &["id"])
}

fn row(id: i64, n: i64) -> Vec<Value> {
    vec![Value::Int(id), Value::Int(n)]
}

fn pair(row: &[Value]) -> (i64, i64) {
    match row {
        [Value::Int(id), Value::Int(n)] => (*id, *n),
        _ => panic!("rows are pairs of numbers"),
    }
}

/// One call on a target transaction. Rows whose number is 13 are refused.
#[derive(Clone, Debug)]
enum Call {
    Upsert(Vec<(i64, i64)>),
    Delete(Vec<i64>),
    Retain { after: i64, upto: i64, keep: Vec<i64> },
    Clear,
}

fn call() -> impl Strategy<Value = Call> {
    let id = 0..12_i64;
    prop_oneof![
        4 => prop::collection::vec((id.clone(), 8..15_i64), 0..5).prop_map(Call::Upsert),
        2 => prop::collection::vec(id.clone(), 0..4).prop_map(Call::Delete),
        1 => (id.clone(), id.clone(), prop::collection::vec(id, 0..4))
            .prop_map(|(after, upto, keep)| Call::Retain { after, upto, keep }),
        1 => Just(Call::Clear),
    ]
}

/// What a call makes of the rows; `None` when it is refused.
fn expected(call: &Call, model: &Model) -> Option<Model> {
    let mut model = model.clone();
    match call {
        Call::Upsert(pairs) if pairs.iter().any(|(_, n)| *n == 13) => return None,
        Call::Upsert(pairs) => model.extend(pairs.iter().copied()),
        Call::Delete(ids) => model.retain(|id, _| !ids.contains(id)),
        Call::Retain { after, upto, keep } => {
            model.retain(|id, _| id <= after || id > upto || keep.contains(id));
        }
        Call::Clear => model.clear(),
    }
    Some(model)
}

fn carry_out(
    call: &Call,
    table: &TargetTable,
    transaction: &mut dyn connect::TargetTransaction,
) -> connect::Result<u64> {
    let ids = |ids: &[i64]| {
        keys(&table.schema, &ids.iter().map(|id| vec![Value::Int(*id)]).collect::<Vec<_>>())
    };
    let bound = |id: i64| Some(Key(vec![Value::Int(id)]));
    match call {
        Call::Upsert(pairs) => {
            let cells: Vec<_> = pairs.iter().map(|(id, n)| row(*id, *n)).collect();
            transaction.write(table, &RowWork::Upsert(rows(&table.schema, &cells)))
        }
        Call::Delete(gone) => transaction.write(table, &RowWork::Delete(ids(gone))),
        Call::Retain { after, upto, keep } => {
            let range = KeyRange { after: bound(*after), upto: bound(*upto) };
            transaction.retain(table, &range, &ids(keep))
        }
        Call::Clear => transaction.clear(table),
    }
}

fn seen(site: &mut MemoryTarget) -> Model {
    site.rows("numbers").unwrap().iter().map(|row| pair(row)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Refused calls leave nothing, dropped transactions leave nothing, and nobody sees an open one.
    #[test]
    fn a_target_follows_its_model(
        transactions in prop::collection::vec((prop::collection::vec(call(), 1..6), any::<bool>()), 1..8),
    ) {
        let table = target_table("numbers", &schema());
        let (mut target, flow, generation) =
            (MemoryTarget::new(), FlowId::mint(1), Generation::mint(1));
        target.prepare(std::slice::from_ref(&table)).unwrap();
        let holder = HolderId::mint(1);
        target.claim(&Claim { holder, known: Vec::new(), take_over: false }).unwrap();
        target.adopt(flow, generation).unwrap();
        target.refuse(|_, row| (row[1] == Value::Int(13)).then(|| "thirteen".into()));
        let (mut model, mut reader) = (Model::new(), target.open());
        for (calls, commits) in transactions {
            let mut inside = model.clone();
            let mut transaction = target.begin(flow, generation).unwrap();
            for call in &calls {
                let done = carry_out(call, &table, transaction.as_mut());
                match expected(call, &inside) {
                    Some(next) => {
                        prop_assert!(done.is_ok());
                        inside = next;
                    }
                    None => prop_assert_eq!(done.unwrap_err().kind, Kind::Refused),
                }
                prop_assert_eq!(&seen(&mut reader), &model);
            }
            if commits {
                transaction.commit(&[]).unwrap();
                model = inside;
            } else {
                drop(transaction);
            }
            prop_assert_eq!(&seen(&mut reader), &model);
        }
    }

    /// However a source is read, in whatever pieces, from wherever it goes on: applying it gives the table.
    #[test]
    fn a_source_delivers_its_table(
        steps in prop::collection::vec(
            (prop::collection::vec((0..3, 0..10_i64, 0..100_i64), 1..6), 1..7_usize, 0..5),
            1..25,
        ),
    ) {
        let mut source = MemorySource::new("random");
        source.define("numbers", &schema());
        let tables = ["numbers".to_string()];
        let mut reader = source.capture(&tables, &Resume::Fresh).unwrap();
        let (mut model, mut replica) = (Model::new(), Model::new());
        let mut position = None;
        for (edits, bound, then) in steps {
            let edits: Vec<Edit> = edits.iter().map(|edit| edit_of(*edit, &mut model)).collect();
            source.commit(&edits).unwrap();
            match then {
                0 => {
                    let id = SnapshotId::mint(7);
                    let table = "numbers".into();
                    reader.request(ReadRequest::Snapshot { table, id, after: None }).unwrap();
                }
                1 => if let Some(position) = position.clone() {
                    reader.acknowledge(&position).unwrap();
                    let history = reader.history().clone();
                    reader = source.capture(&tables, &Resume::After { history, position }).unwrap();
                },
                _ => {}
            }
            if let Some(group) = reader.poll(Bounds { changes: bound, bytes: usize::MAX }).unwrap() {
                apply(&group, &mut replica);
                position = Some(group.upto);
            }
        }
        while let Some(group) = reader.poll(Bounds::BATCH).unwrap() {
            apply(&group, &mut replica);
        }
        prop_assert_eq!(&replica, &model);
        let mut cut = connect::Readable::cut(&mut source).unwrap();
        let scan = Scan::all("numbers", schema().as_ref().clone());
        let read = scan.collect(cut.as_mut()).unwrap();
        let read: Model =
            (0..read.num_rows()).map(|i| pair(&Value::row(&read, &schema(), i))).collect();
        prop_assert_eq!(&read, &model);
    }
}

/// An edit that is legal now, close to the one drawn.
fn edit_of((kind, id, n): (i32, i64, i64), model: &mut Model) -> Edit {
    match (kind, model.contains_key(&id)) {
        (_, false) => {
            model.insert(id, n);
            Edit::insert("numbers", row(id, n))
        }
        (0, true) => {
            model.remove(&id);
            Edit::delete("numbers", [Value::Int(id)])
        }
        (1, true) if !model.contains_key(&(id + 100)) => {
            model.remove(&id);
            model.insert(id + 100, n);
            Edit::update("numbers", [Value::Int(id)], row(id + 100, n))
        }
        (_, true) if n == 0 => {
            model.clear();
            Edit::truncate("numbers")
        }
        (_, true) => {
            model.insert(id, n);
            Edit::update("numbers", [Value::Int(id)], row(id, n))
        }
    }
}

fn apply(group: &GroupBody, replica: &mut Model) {
    for (batch, place) in group.in_order() {
        let batch = &group.batches[batch];
        let image = |rows| pair(&Value::row(rows, batch.schema(), place));
        if batch.ops()[place] == Op::Truncate {
            replica.clear();
        }
        if batch.has_old_image(place) {
            replica.remove(&image(batch.old()).0);
        }
        if batch.ops()[place].has_new() {
            replica.extend([image(batch.new_images())]);
        }
    }
}
