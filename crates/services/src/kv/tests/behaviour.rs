use super::{context, run, store};
use crate::kv::{
    Compare, Entry, Expected, KeyValueStore, KvError, KvResult, MAX_TRANSACTION_STEPS, Operation, RangeEnd, Relation, Step,
    StepResult, Target,
};
use pbft_message::ServiceParameters;
use pbft_protocol::service::Service;

fn put(store: &mut KeyValueStore, key: &str, value: &str) -> u64 {
    match run(store, &Operation::put(key, value)) {
        KvResult::Step(StepResult::Put { revision, .. }) => revision,
        other => panic!("{other:?}"),
    }
}

fn get(store: &mut KeyValueStore, key: &str) -> Option<Entry> {
    match run(store, &Operation::get(key)) {
        KvResult::Step(StepResult::Get { entry, .. }) => entry,
        other => panic!("{other:?}"),
    }
}

fn range(store: &mut KeyValueStore, start: &str, end: RangeEnd, limit: u64) -> (Vec<String>, bool) {
    match run(store, &Operation::range(start, end, limit)) {
        KvResult::Step(StepResult::Range { entries, more, .. }) => (keys(&entries), more),
        other => panic!("{other:?}"),
    }
}

fn keys(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8(entry.key.to_vec()).unwrap()).collect()
}

fn entry(key: &str, value: &str, create_revision: u64, mod_revision: u64, version: u64) -> Entry {
    let (key, value) = (key.as_bytes().into(), value.as_bytes().into());
    Entry { key, value, create_revision, mod_revision, version, lease: 0 }
}

fn too_large(limit: &str, maximum: u64) -> KvResult {
    KvResult::Error(KvError::TooLarge { limit: limit.to_owned(), maximum })
}

fn transaction(compare: Vec<Compare>, success: Vec<Step>, failure: Vec<Step>) -> Operation {
    Operation::Transaction { compare, success, failure }
}

#[test]
fn revisions_and_versions_are_those_of_etcd() {
    let mut store = store();
    assert_eq!(store.revision(), 1);
    assert_eq!(run(&mut store, &Operation::put("a", "1")), KvResult::Step(StepResult::Put { revision: 2, previous: None }));
    assert_eq!(run(&mut store, &Operation::put("a", "2")), KvResult::Step(StepResult::Put { revision: 3, previous: Some(2) }));
    assert_eq!(get(&mut store, "a"), Some(entry("a", "2", 2, 3, 2)));
    assert_eq!(run(&mut store, &Operation::delete("a")), KvResult::Step(StepResult::Delete { revision: 4, deleted: 1 }));
    assert_eq!(get(&mut store, "a"), None);
    put(&mut store, "a", "3");
    assert_eq!(get(&mut store, "a"), Some(entry("a", "3", 5, 5, 1)), "created anew");
}

#[test]
fn what_changes_nothing_does_not_grow_the_revision() {
    let mut store = store();
    put(&mut store, "a", "1");
    let nothing = [
        Operation::get("a"),
        Operation::delete("b"),
        Operation::range("", RangeEnd::Last, 0),
        Operation::compare_and_swap("a", Expected::Absent, "2"),
        transaction(vec![], vec![], vec![]),
        transaction(vec![], vec![Step::get("a"), Step::delete("b")], vec![Step::put("a", "2")]),
        Operation::put("", "1"),
    ];
    store.changed_chunks();
    for operation in nothing {
        run(&mut store, &operation);
        assert_eq!(store.revision(), 2, "{operation:?}");
        assert!(store.changed_chunks().is_empty(), "{operation:?}");
    }
}

#[test]
fn compare_and_swap_swaps_only_what_is_expected() {
    let mut store = store();
    let mut swap = |expected, value: &str| match run(&mut store, &Operation::compare_and_swap("a", expected, value)) {
        KvResult::CompareAndSwap { revision, swapped, current } => (revision, swapped, current),
        other => panic!("{other:?}"),
    };
    assert_eq!(swap(Expected::Value(b"".as_slice().into()), "0"), (1, false, None));
    assert_eq!(swap(Expected::ModRevision(1), "0"), (1, false, None));
    assert_eq!(swap(Expected::Absent, "1"), (2, true, None));
    assert_eq!(swap(Expected::Absent, "2"), (2, false, Some(entry("a", "1", 2, 2, 1))));
    assert_eq!(swap(Expected::ModRevision(0), "2"), (2, false, Some(entry("a", "1", 2, 2, 1))));
    assert_eq!(swap(Expected::Value(b"1".as_slice().into()), "2"), (3, true, None));
    assert_eq!(swap(Expected::ModRevision(2), "3"), (3, false, Some(entry("a", "2", 2, 3, 2))));
    assert_eq!(swap(Expected::ModRevision(3), "3"), (4, true, None));
    assert_eq!(get(&mut store, "a"), Some(entry("a", "3", 2, 4, 3)));
}

#[test]
fn ranges_end_where_they_say() {
    let mut store = store();
    for key in ["b", "ab", "a", "c", "abc"] {
        put(&mut store, key, "");
    }
    let all = ["a", "ab", "abc", "b", "c"];
    let mut check = |start, end, limit, expected: &[&str], more| {
        let (keys, found_more) = range(&mut store, start, end, limit);
        assert_eq!(
            (keys.as_slice(), found_more),
            (expected.iter().map(|key| key.to_string()).collect::<Vec<_>>().as_slice(), more)
        );
    };
    check("", RangeEnd::Last, 0, &all, false);
    check("", RangeEnd::Prefix, 0, &all, false);
    check("ab", RangeEnd::Last, 0, &["ab", "abc", "b", "c"], false);
    check("ab", RangeEnd::Prefix, 0, &["ab", "abc"], false);
    check("ab", RangeEnd::Start, 0, &["ab"], false);
    check("x", RangeEnd::Start, 0, &[], false);
    check("a", RangeEnd::before("b"), 0, &["a", "ab", "abc"], false);
    check("b", RangeEnd::before("a"), 0, &[], false);
    check("b", RangeEnd::before("b"), 0, &[], false);
    check("a", RangeEnd::before("b"), 3, &["a", "ab", "abc"], false);
    check("a", RangeEnd::before("b"), 2, &["a", "ab"], true);
    check("", RangeEnd::Last, u64::MAX, &all, false);
}

#[test]
fn a_range_has_no_more_entries_than_the_maximum() {
    let mut store = KeyValueStore::new(&ServiceParameters { max_range_entries: 3, ..ServiceParameters::default() });
    for key in ["a", "b", "c", "d"] {
        put(&mut store, key, "");
    }
    let first: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
    for limit in [0, 3, 4, u64::MAX] {
        assert_eq!(range(&mut store, "", RangeEnd::Last, limit), (first.clone(), true));
    }
    assert!(!range(&mut store, "b", RangeEnd::Last, 0).1);
}

#[test]
fn a_transaction_shares_one_revision_and_sees_its_own_changes() {
    let mut store = store();
    put(&mut store, "a", "1");
    put(&mut store, "b", "1");
    let operation = transaction(
        vec![Compare::new("a", Relation::Equal, Target::Value(b"1".as_slice().into()))],
        vec![
            Step::get("a"),
            Step::delete("a"),
            Step::put("ab", "2"),
            Step::put("b", "2"),
            Step::range("", RangeEnd::Last, 0),
            Step::delete("a"),
        ],
        vec![Step::put("failed", "")],
    );
    let results = vec![
        StepResult::Get { revision: 3, entry: Some(entry("a", "1", 2, 2, 1)) },
        StepResult::Delete { revision: 4, deleted: 1 },
        StepResult::Put { revision: 4, previous: None },
        StepResult::Put { revision: 4, previous: Some(3) },
        StepResult::Range { revision: 4, entries: vec![entry("ab", "2", 4, 4, 1), entry("b", "2", 3, 4, 2)], more: false },
        StepResult::Delete { revision: 4, deleted: 0 },
    ];
    assert_eq!(run(&mut store, &operation), KvResult::Transaction { revision: 4, succeeded: true, results });
    let results = vec![StepResult::Put { revision: 5, previous: None }];
    assert_eq!(run(&mut store, &operation), KvResult::Transaction { revision: 5, succeeded: false, results });
}

#[test]
fn comparisons_relate_what_is_found_to_what_is_given() {
    let mut store = store();
    put(&mut store, "a", "1");
    put(&mut store, "a", "2"); // create_revision 2, mod_revision 3, version 2
    let mut holds =
        |key, relation, target| match run(&mut store, &transaction(vec![Compare::new(key, relation, target)], vec![], vec![])) {
            KvResult::Transaction { succeeded, .. } => succeeded,
            other => panic!("{other:?}"),
        };
    let all = [Relation::Equal, Relation::NotEqual, Relation::Greater, Relation::Less];
    let mut relations = |key, target: Target| all.map(|relation| holds(key, relation, target.clone()));
    let (equal, greater, less) = ([true, false, false, false], [false, true, true, false], [false, true, false, true]);
    assert_eq!(relations("a", Target::Version(2)), equal);
    assert_eq!(relations("a", Target::Version(1)), greater);
    assert_eq!(relations("a", Target::CreateRevision(3)), less);
    assert_eq!(relations("a", Target::CreateRevision(2)), equal);
    assert_eq!(relations("a", Target::ModRevision(2)), greater);
    assert_eq!(relations("a", Target::ModRevision(3)), equal);
    assert_eq!(relations("a", Target::Value(b"2".as_slice().into())), equal);
    assert_eq!(relations("a", Target::Value(b"10".as_slice().into())), greater);
    for zero in [Target::Version(0), Target::CreateRevision(0), Target::ModRevision(0)] {
        assert_eq!(relations("absent", zero), equal);
    }
    assert_eq!(relations("absent", Target::Version(1)), less);
    assert_eq!(relations("absent", Target::Value(b"".as_slice().into())), [false; 4]);
}

#[test]
fn a_transaction_changes_a_key_once() {
    let mut store = store();
    let refused = KvResult::Error(KvError::DuplicateKey);
    for branch in [
        vec![Step::put("a", "1"), Step::put("a", "1")],
        vec![Step::put("a", "1"), Step::delete("a")],
        vec![Step::delete("a"), Step::put("a", "1")],
    ] {
        assert_eq!(run(&mut store, &transaction(vec![], branch.clone(), vec![])), refused);
        assert_eq!(run(&mut store, &transaction(vec![], vec![], branch)), refused, "nor in the branch that is not run");
    }
    assert_eq!(store.revision(), 1);
    let either = transaction(vec![], vec![Step::put("a", "1")], vec![Step::put("a", "2")]);
    assert!(matches!(run(&mut store, &either), KvResult::Transaction { revision: 2, .. }));
}

#[test]
fn what_is_no_operation_is_malformed() {
    let mut store = store();
    let operation = Operation::put("key", "value").encode();
    let mut longer = operation.clone();
    longer.push(0);
    for bytes in [&operation[..operation.len() - 1], &longer, &[], &[9, 0, 0, 0], &[0xff; 40]] {
        let result = store.execute(&context(4 << 20), bytes);
        assert_eq!(KvResult::decode(&result), Ok(KvResult::Error(KvError::Malformed)));
    }
    assert_eq!(store.revision(), 1);
}

#[test]
fn keys_and_values_keep_to_their_limits() {
    let mut store = KeyValueStore::new(&ServiceParameters { max_key_bytes: 3, max_value_bytes: 5, ..ServiceParameters::default() });
    let ok = Step::get("k");
    let key = too_large("the key's length in bytes", 3);
    let value = too_large("the value's length in bytes", 5);
    let empty = KvResult::Error(KvError::EmptyKey);
    let compare = |key, target| transaction(vec![Compare::new(key, Relation::Equal, target)], vec![], vec![]);
    let long = || b"123456".as_slice().into();
    let cases = [
        (Operation::put("four", ""), &key),
        (Operation::put("", ""), &empty),
        (Operation::put("k", "123456"), &value),
        (Operation::get("four"), &key),
        (Operation::get(""), &empty),
        (Operation::delete("four"), &key),
        (Operation::range("four", RangeEnd::Last, 0), &key),
        (Operation::range("", RangeEnd::before("four"), 0), &key),
        (Operation::compare_and_swap("four", Expected::Absent, ""), &key),
        (Operation::compare_and_swap("", Expected::Absent, ""), &empty),
        (Operation::compare_and_swap("k", Expected::Absent, "123456"), &value),
        (Operation::compare_and_swap("k", Expected::Value(long()), ""), &value),
        (compare("four", Target::Version(0)), &key),
        (compare("", Target::Version(0)), &empty),
        (compare("k", Target::Value(long())), &value),
        (transaction(vec![], vec![Step::put("k", "1"), Step::put("four", "1")], vec![]), &key),
        (transaction(vec![], vec![Step::put("k", "1")], vec![Step::put("j", "123456")]), &value),
        (
            transaction(vec![], vec![ok.clone(); MAX_TRANSACTION_STEPS + 1], vec![]),
            &too_large("the number of steps in a branch of a transaction", 1024),
        ),
        (
            transaction(vec![Compare::new("k", Relation::Equal, Target::Version(0)); MAX_TRANSACTION_STEPS + 1], vec![], vec![]),
            &too_large("the number of comparisons in a transaction", 1024),
        ),
    ];
    for (operation, expected) in cases {
        assert_eq!(run(&mut store, &operation), *expected, "{operation:?}");
    }
    assert_eq!(store.revision(), 1);
    assert_eq!(put(&mut store, "key", "12345"), 2);
    let full = transaction(vec![], vec![ok; MAX_TRANSACTION_STEPS], vec![]);
    assert!(matches!(run(&mut store, &full), KvResult::Transaction { succeeded: true, .. }));
}

#[test]
fn a_range_stops_where_the_result_is_full() {
    let mut store = store();
    for key in ["a", "b", "c"] {
        put(&mut store, key, "12345");
    }
    let whole = Operation::range("", RangeEnd::Last, 0);
    let size = run(&mut store, &whole).encode().len();
    let mut count = |max_result_bytes| {
        let result = store.execute(&context(max_result_bytes), &whole.encode());
        assert!(result.len() <= max_result_bytes);
        match KvResult::decode(&result).unwrap() {
            KvResult::Step(StepResult::Range { entries, more, .. }) => Ok((entries.len(), more)),
            other => Err(other),
        }
    };
    assert_eq!(count(size), Ok((3, false)));
    assert_eq!(count(size - 1), Ok((2, true)));
    assert_eq!(count(size - 54), Ok((2, true)));
    assert_eq!(count(size - 55), Ok((1, true)));
    assert_eq!(count(size - 109), Err(too_large("the result's size in bytes", size as u64 - 109)), "not even the first");
}

#[test]
fn a_result_that_does_not_fit_leaves_no_effect() {
    let mut store = store();
    put(&mut store, "a", &"x".repeat(100));
    store.changed_chunks();
    let refused = too_large("the result's size in bytes", 100);
    for operation in [
        Operation::get("a"),
        Operation::compare_and_swap("a", Expected::Absent, ""),
        transaction(vec![], ["b", "c", "d", "e", "f", "g", "h"].map(|key| Step::put(key, "1")).to_vec(), vec![]),
        transaction(vec![], vec![Step::delete("a"), Step::put("b", "1"), Step::get("b"), Step::delete("c")], vec![]),
        transaction(vec![], vec![Step::put("b", "1"), Step::get("a")], vec![]),
        transaction(vec![], vec![Step::put("b", "1"), Step::range("", RangeEnd::Last, 1)], vec![]),
    ] {
        assert_eq!(KvResult::decode(&store.execute(&context(100), &operation.encode())), Ok(refused.clone()), "{operation:?}");
    }
    let tiny = store.execute(&context(16), &Operation::put("b", "1").encode());
    assert_eq!(tiny, [], "not even the error fits");
    assert_eq!(store.revision(), 2);
    assert!(store.changed_chunks().is_empty());
    assert_eq!(range(&mut store, "", RangeEnd::Last, 0), (vec!["a".to_owned()], false));
    let fits = KvResult::decode(&store.execute(&context(17), &Operation::put("b", "1").encode())).unwrap();
    assert_eq!(fits, KvResult::Step(StepResult::Put { revision: 3, previous: None }));
}

#[test]
fn r08_who_may_only_read_writes_by_no_operation() {
    let (read, write) = (Step::get("a"), Step::put("a", "b"));
    let all = |operations: &[Operation]| operations.iter().map(Operation::is_read).collect::<Vec<_>>();
    let reads = [
        Operation::get("a"),
        Operation::range("a", RangeEnd::Last, 0),
        transaction(vec![], vec![read.clone()], vec![read.clone()]),
        transaction(vec![], vec![], vec![]),
    ];
    assert_eq!(all(&reads), [true; 4]);
    let writes = [
        Operation::put("a", "b"),
        Operation::Step(Step::delete("a")),
        transaction(vec![], vec![read.clone(), write.clone()], vec![]),
        transaction(vec![], vec![read], vec![write]),
        Operation::CompareAndSwap { key: b"a"[..].into(), expected: Expected::Absent, value: b"b"[..].into() },
    ];
    assert_eq!(all(&writes), [false; 5]);
}
