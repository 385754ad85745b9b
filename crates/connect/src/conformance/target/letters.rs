//! How it stands with letters: recorded in the transaction that did it, kept by flow, there for whoever opens the site.

use super::writer::{Writer, article, progress, skus, stock, upsert};
use super::{Outcome, TargetHarness};
use crate::target::{Fate, Fates, LetterPlace};
use change::{FlowId, LaneId, Offset};

fn place(lane: u64, offset: u64, ordinal: u32) -> LetterPlace {
    LetterPlace { lane: LaneId::mint(lane), offset: Offset(offset), ordinal }
}

fn letters(writer: &mut Writer) -> Fates {
    writer.target.letters(writer.flow).expect("letters are readable")
}

fn record(writer: &mut Writer, fates: &[(LetterPlace, Fate)]) {
    let mut transaction = writer.begin().expect("begins");
    transaction.record_letters(fates).expect("letters are recorded");
    transaction.commit(&[progress(1, 9)]).expect("commits");
}

/// What became of letters is there with the rows of its transaction, for everybody, or not at all.
pub fn fates_come_and_go_with_their_transaction(harness: &mut dyn TargetHarness) -> Outcome {
    let table = stock("stock");
    let mut writer = Writer::first(harness, std::slice::from_ref(&table));
    assert_eq!(letters(&mut writer), Fates::new(), "nothing was set aside yet");
    let fates = [
        (place(1, 7, 0), Fate::Replayed),
        (place(1, 7, 3), Fate::Discarded),
        (place(2, 7, 0), Fate::Waits),
    ];
    let work = upsert(&table.schema, &[article(1, "a", "nail", 5)]);
    let mut transaction = writer.begin().expect("the holder begins");
    transaction.write(&table, &work).expect("good rows");
    transaction.record_letters(&fates).expect("letters are recorded");
    drop(transaction);
    assert_eq!(letters(&mut writer), Fates::new(), "a dropped transaction records nothing");
    let mut transaction = writer.begin().expect("the holder begins");
    transaction.write(&table, &work).expect("good rows");
    transaction.record_letters(&fates).expect("letters are recorded");
    transaction.commit(&[progress(1, 9)]).expect("it commits");
    drop(writer);
    let mut reader = Writer::stranger(harness, 2);
    assert_eq!(skus(&reader.rows(&table)), [1]);
    assert_eq!(letters(&mut reader), Fates::from(fates), "each stands at its own place");
    Outcome::Held
}

/// A letter that waits again is recorded so; the others keep their records, and a later one takes an earlier one's place.
pub fn a_letter_that_waits_again_is_recorded_so(harness: &mut dyn TargetHarness) -> Outcome {
    let mut writer = Writer::first(harness, &[stock("stock")]);
    let (first, second) = (place(1, 7, 0), place(1, 8, 0));
    record(&mut writer, &[(first, Fate::Replayed), (second, Fate::Replayed)]);
    record(&mut writer, &[(first, Fate::Waits), (second, Fate::Discarded)]);
    let again = Fates::from([(first, Fate::Waits), (second, Fate::Discarded)]);
    assert_eq!(letters(&mut writer), again);
    record(&mut writer, &[(first, Fate::Discarded)]);
    let both = Fates::from([(first, Fate::Discarded), (second, Fate::Discarded)]);
    assert_eq!(letters(&mut writer), both, "it can be settled again");
    Outcome::Held
}

/// Another flow has letters of its own at the same places; a new generation of a flow forgets none of them.
pub fn fates_are_kept_by_flow_over_generations(harness: &mut dyn TargetHarness) -> Outcome {
    let mut writer = Writer::first(harness, &[stock("stock")]);
    let (here, there) = (place(1, 7, 0), place(1, 8, 0));
    record(&mut writer, &[(here, Fate::Replayed)]);
    writer.adopt(2);
    record(&mut writer, &[]);
    let first = Fates::from([(here, Fate::Replayed)]);
    assert_eq!(letters(&mut writer), first, "a new generation has committed since");
    writer.flow = FlowId::mint(0xF20);
    writer.adopt(9);
    assert_eq!(letters(&mut writer), Fates::new(), "another flow has set nothing aside yet");
    record(&mut writer, &[(here, Fate::Discarded), (there, Fate::Discarded)]);
    let second = Fates::from([(here, Fate::Discarded), (there, Fate::Discarded)]);
    assert_eq!(letters(&mut writer), second);
    record(&mut writer, &[(here, Fate::Waits)]);
    writer.flow = FlowId::mint(super::writer::FLOW);
    assert_eq!(letters(&mut writer), first, "the first flow keeps what it had");
    Outcome::Held
}
