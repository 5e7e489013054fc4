use super::{chunks, context, store};
use crate::kv::result::{EMPTY_TRANSACTION_BYTES, STEP_BYTES, compare_and_swap_size};
use crate::kv::{Compare, Expected, KeyValueStore, KvResult, Model, Operation, RangeEnd, Relation, Step, StepResult, Target};
use pbft_message::{Blob, ServiceParameters};
use pbft_protocol::service::Service;
use proptest::collection::vec;
use proptest::prelude::*;

/// Small enough that random operations meet every limit.
fn parameters() -> ServiceParameters {
    let name = "kv".to_owned();
    ServiceParameters { name, max_key_bytes: 3, max_value_bytes: 40, max_range_entries: 4, max_result_bytes: 350, buckets: 1 << 14 }
}

fn key() -> impl Strategy<Value = Blob> {
    // A few keys, so that they meet again; now and then an empty one, or one that is too long.
    prop_oneof![20 => "[abc]{1,2}", 1 => Just(String::new()), 1 => Just("long".to_owned())].prop_map(|key| key.into_bytes().into())
}

fn value() -> impl Strategy<Value = Blob> {
    prop_oneof![8 => 0..4_usize, 8 => 0..=40_usize, 1 => Just(41)].prop_map(|length| vec![b'x'; length].into())
}

fn revision() -> impl Strategy<Value = u64> {
    0..12_u64
}

fn range_end() -> impl Strategy<Value = RangeEnd> {
    prop_oneof![Just(RangeEnd::Start), Just(RangeEnd::Prefix), key().prop_map(RangeEnd::Before), Just(RangeEnd::Last)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (key(), value()).prop_map(|(key, value)| Step::Put { key, value }),
        1 => key().prop_map(|key| Step::Get { key }),
        2 => key().prop_map(|key| Step::Delete { key }),
        3 => (key(), range_end(), 0..6_u64).prop_map(|(start, end, limit)| Step::Range { start, end, limit }),
    ]
}

fn expected() -> impl Strategy<Value = Expected> {
    prop_oneof![Just(Expected::Absent), value().prop_map(Expected::Value), revision().prop_map(Expected::ModRevision)]
}

fn compare() -> impl Strategy<Value = Compare> {
    let relation = prop_oneof![Just(Relation::Equal), Just(Relation::NotEqual), Just(Relation::Greater), Just(Relation::Less)];
    let target = prop_oneof![
        revision().prop_map(Target::Version),
        revision().prop_map(Target::CreateRevision),
        revision().prop_map(Target::ModRevision),
        value().prop_map(Target::Value),
    ];
    (key(), relation, target).prop_map(|(key, relation, target)| Compare { key, relation, target })
}

fn operation() -> impl Strategy<Value = Operation> {
    let transaction = (vec(compare(), 0..3), vec(step(), 0..6), vec(step(), 0..6));
    prop_oneof![
        5 => step().prop_map(Operation::Step),
        2 => (key(), expected(), value()).prop_map(|(key, expected, value)| Operation::CompareAndSwap { key, expected, value }),
        3 => transaction.prop_map(|(compare, success, failure)| Operation::Transaction { compare, success, failure }),
    ]
}

fn size(result: &KvResult) -> usize {
    match result {
        KvResult::Step(result) => STEP_BYTES + result.size(),
        KvResult::CompareAndSwap { current, .. } => compare_and_swap_size(current.as_ref()),
        KvResult::Transaction { results, .. } => EMPTY_TRANSACTION_BYTES + results.iter().map(StepResult::size).sum::<usize>(),
        KvResult::Error(_) => result.encode().len(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_store_and_the_model_agree(operations in vec(operation(), 1..60)) {
        let mut store = KeyValueStore::new(&parameters());
        let mut model = Model::new(&parameters());
        for operation in operations {
            let result = store.execute(&context(parameters().max_result_bytes), &operation.encode());
            let result = KvResult::decode(&result).unwrap();
            prop_assert_eq!(size(&result), result.encode().len());
            prop_assert_eq!(&result, &model.apply(&operation), "{:?}", operation);
            prop_assert_eq!(store.revision(), model.revision());
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in vec(any::<u8>(), 0..200)) {
        let result = store().execute(&context(1000), &bytes);
        prop_assert!(KvResult::decode(&result).is_ok());
    }
}

proptest! {
    // Each case compares the whole states, of 16,385 chunks, a few times.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_restored_store_is_equal_and_goes_on_equally(before in vec(operation(), 0..40), after in vec(operation(), 0..40)) {
        let maximum = parameters().max_result_bytes;
        let mut store = KeyValueStore::new(&parameters());
        before.iter().for_each(|operation| drop(store.apply(operation, maximum)));
        let frozen = store.snapshot();
        let state = chunks(&*frozen);
        let mut restored = KeyValueStore::new(&parameters());
        restored.apply(&Operation::put("old", "state"), maximum);
        restored.restore(state.clone()).unwrap();
        prop_assert!(restored.changed_chunks().is_empty());
        prop_assert!(chunks(&*restored.snapshot()) == state);

        store.changed_chunks();
        for operation in &after {
            prop_assert_eq!(store.apply(operation, maximum), restored.apply(operation, maximum));
        }
        let (left, right) = (chunks(&*store.snapshot()), chunks(&*restored.snapshot()));
        prop_assert!(left == right);
        let changed = store.changed_chunks();
        prop_assert!(changed.is_sorted());
        prop_assert_eq!(&changed, &restored.changed_chunks());
        for (index, (old, new)) in state.iter().zip(&left).enumerate() {
            prop_assert!(old == new || changed.contains(&(index as u32)), "chunk {} changed unnamed", index);
        }
        prop_assert!(chunks(&*frozen) == state, "a snapshot changed");
    }
}
