//! VIEW-CHANGE and NEW-VIEW: valid exactly by R11 and R12, and O follows exactly if R12 says so (R13).

use crate::cluster::cluster;
use crate::input::Input;
use crate::model;
use pbft_crypto::Digest;
use pbft_message::*;

pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.byte() % 4 {
        0 => codec::decode(input.0).map(|change| check_view_change(&change)).unwrap_or_default(),
        1 => codec::decode(input.0).map(|new_view| check_new_view(&new_view)).unwrap_or_default(),
        _ => check_new_view(&new_view(&mut input)),
    }
}

fn check_view_change(change: &Signed<ViewChange>) {
    let verdict = cluster().authenticator.verify_view_change(change.clone());
    assert_eq!(verdict.is_ok(), model::view_change(change), "{verdict:?}");
}

fn check_new_view(new_view: &Signed<NewView>) {
    new_view.view_changes.iter().for_each(check_view_change);
    let verdict = cluster().authenticator.verify_new_view(new_view.clone());
    assert_eq!(verdict.is_ok(), model::new_view(new_view), "{verdict:?}");
    // Whoever verifies O computes it, and of valid view-changes only.
    if verdict.is_err() {
        return;
    }
    assert_eq!(new_view.follows().ok(), model::follows(new_view));
    let accused = cluster().authenticator.verify_evidence(Evidence::FalseNewView(Box::new(new_view.clone())));
    assert_eq!(accused.is_ok(), model::follows(new_view) == Some(false), "whoever follows the rules is not accused");
}

/// A new-view of the fuzzer's view-changes, with O as it follows or changed.
fn new_view(input: &mut Input<'_>) -> Signed<NewView> {
    let view = View(1 + u64::from(input.byte() % 8));
    let primary = cluster().primary(view);
    let mut changes = Vec::new();
    let count = if input.byte() < 200 { 3 } else { input.below(5) };
    let start = input.byte();
    for place in 0..count {
        let replica = if input.byte() < 230 { place as u32 } else { input.below(5) as u32 };
        changes.push(view_change(input, view, ReplicaId((replica + u32::from(start > 250)) % 5)));
    }
    if !changes.iter().any(|change| change.replica == primary) && start < 200 {
        changes.pop();
        changes.push(view_change(input, view, primary));
        changes.sort_by_key(|change| change.replica);
    }
    let mut body = (*cluster().new_view(view, changes)).clone();
    match input.byte() {
        101 => drop(body.pre_prepares.pop()),
        102 => body.pre_prepares.extend(body.pre_prepares.first().cloned()),
        103 => body.pre_prepares.reverse(),
        104 => body.pre_prepares.push(cluster().pre_prepare(view, SequenceNumber(input.number()), NULL_DIGEST)),
        105 => body.pre_prepares.iter_mut().for_each(|header| *header = cluster().pre_prepare(view, header.sequence, NULL_DIGEST)),
        106 => body.pre_prepares.iter_mut().for_each(|header| {
            *header = cluster().pre_prepare(View(view.0 + 4), header.sequence, header.digest);
        }),
        107 => body.replica = ReplicaId(input.below(5) as u32),
        108 => body.view = View(input.number()),
        _ => {}
    }
    cluster().signer(body.replica).sign(body).into_inner()
}

fn view_change(input: &mut Input<'_>, view: View, replica: ReplicaId) -> Signed<ViewChange> {
    let low = 4 * u64::from(input.byte() % 3);
    let stable = (low > 0).then(|| cluster().stable(SequenceNumber(low), Digest::of("state", &[&low.to_le_bytes()])));
    let mut prepared = Vec::new();
    let mut sequence = low;
    for _ in 0..input.byte() % 4 {
        sequence += 1 + u64::from(input.byte() % 6);
        let older = View(u64::from(input.byte()) % view.0);
        prepared.push(cluster().prepared(older, SequenceNumber(sequence), cluster().digest(input.below(4))));
    }
    let mut body = ViewChange { view, stable, prepared, replica };
    match input.byte() {
        101 => body.prepared.reverse(),
        102 => body.prepared.extend(body.prepared.first().cloned()),
        103 => body.prepared.iter_mut().for_each(|certificate| certificate.prepares.truncate(1)),
        104 => body.prepared.iter_mut().for_each(|certificate| certificate.view = certificate.view.next()),
        105 => body.stable.iter_mut().for_each(|stable| stable.checkpoints.truncate(2)),
        106 => body.stable = Some(cluster().stable(SequenceNumber(0), NULL_DIGEST)),
        107 => body.view = View(input.number()),
        108 => body.prepared.push(cluster().prepared(view, SequenceNumber(low + 1), NULL_DIGEST)),
        109 => body.prepared.push(cluster().prepared(View(0), SequenceNumber(input.number()), NULL_DIGEST)),
        110 => return cluster().signer(ReplicaId(replica.0 + 1)).sign(body).into_inner(),
        _ => {}
    }
    cluster().signer(replica).sign(body).into_inner()
}
