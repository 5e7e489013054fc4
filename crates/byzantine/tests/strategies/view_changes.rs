//! Lies in view changes.

use crate::world::{Liar, World, digest, id, status};
use pbft_byzantine::Strategy;
use pbft_message::*;
use std::collections::BTreeSet;
use std::time::Duration;

/// The primary of view 1.
const OWN: ReplicaId = ReplicaId(1);

fn told_change(liar: &mut Liar, change: &Signed<ViewChange>) -> Signed<ViewChange> {
    match &liar.tells(id(2), &Message::ViewChange(change.clone()))[..] {
        [Message::ViewChange(told)] => told.clone(),
        other => panic!("{other:?} is not one view-change"),
    }
}

fn told_new_view(liar: &mut Liar, to: ReplicaId, new_view: &Message) -> Signed<NewView> {
    match &liar.tells(to, new_view)[..] {
        [Message::NewView(told)] => told.clone(),
        other => panic!("{other:?} is not one new-view"),
    }
}

fn is_valid(world: &World, new_view: &Signed<NewView>) -> bool {
    world.judges(OWN, &Message::NewView(new_view.clone())).is_ok()
}

#[test]
fn a_view_change_liar_reports_less_and_all_of_it_is_valid() {
    let world = World::of(4);
    let honest = world.view_change(1, Some(8), &[9, 10, 20, 24], OWN);
    let mut reports = BTreeSet::new();
    for seed in 0..32 {
        let mut liar = Liar::with_seed(&world, Strategy::ViewChangeLiar, OWN, seed);
        for sequence in [4, 8] {
            for replica in (0..3).map(id) {
                let checkpoint = world.checkpoint(sequence, digest("state"), replica);
                if replica == OWN {
                    liar.tells(id(0), &checkpoint);
                } else {
                    liar.hears(replica, &checkpoint);
                }
            }
        }
        let lie = told_change(&mut liar, &honest);
        assert_eq!(told_change(&mut liar, &honest), lie, "it does not contradict itself");
        assert!(world.judges(OWN, &Message::ViewChange(lie.clone())).is_ok());
        reports.insert((lie.low_watermark().0, lie.prepared.iter().map(|entry| entry.sequence.0).collect::<Vec<_>>()));
    }
    let expected = [(0, vec![9, 10]), (4, vec![9, 10, 20]), (8, vec![]), (8, vec![9, 10])];
    assert_eq!(reports, BTreeSet::from(expected));
}

#[test]
fn a_view_change_liar_hides_what_prepared_in_its_own_new_view_too() {
    let world = World::of(4);
    let honest = world.view_change(1, None, &[1, 2], OWN);
    let others = [0, 2].map(|replica| world.view_change(1, None, &[], id(replica)));
    let new_view = world.new_view(1, [vec![honest.clone()], others.to_vec()].concat());
    let mut hidden = BTreeSet::new();
    for seed in 0..32 {
        let mut liar = Liar::with_seed(&world, Strategy::ViewChangeLiar, OWN, seed);
        let change = told_change(&mut liar, &honest);
        let told = told_new_view(&mut liar, id(2), &new_view);
        assert!(is_valid(&world, &told) && told.follows() == Ok(true));
        assert!(told.view_changes.contains(&change));
        hidden.insert(told.pre_prepares.len());
    }
    assert_eq!(hidden, BTreeSet::from([0, 1, 2]));
}

#[test]
fn r11_no_forgery_of_a_view_change_forger_is_valid() {
    let world = World::of(4);
    for (stable, prepared) in [(Some(4), &[5, 6][..]), (None, &[])] {
        let mut liar = Liar::with_seed(&world, Strategy::ViewChangeForger, OWN, 0);
        let honest = world.view_change(1, stable, prepared, OWN);
        assert!(world.judges(OWN, &Message::ViewChange(honest.clone())).is_ok());
        let refusals: Vec<_> =
            (0..8).map(|_| world.judges(OWN, &Message::ViewChange(told_change(&mut liar, &honest))).unwrap_err()).collect();
        let expected = [
            Invalid::BadCertificate,
            Invalid::BadViewChange("a prepared certificate of the new view or a later one"),
            Invalid::BadSignature,
            Invalid::BadCertificate,
            Invalid::UnknownReplica,
            Invalid::BadSignature,
            Invalid::BadCertificate,
            Invalid::BadCertificate,
        ];
        assert_eq!(refusals, expected);
    }
}

#[test]
fn r05_a_view_change_forger_that_was_primary_prepares_among_the_backups() {
    let world = World::of(4);
    let primary = id(0);
    let mut liar = Liar::new(&world, Strategy::ViewChangeForger, primary);
    let honest = world.view_change(1, None, &[1], primary);
    let forged: Vec<_> = (0..8).map(|_| told_change(&mut liar, &honest)).collect();
    let own = |change: &&Signed<ViewChange>| change.prepared[0].prepares.iter().any(|(signer, _)| *signer == primary);
    let own: Vec<_> = forged.iter().filter(own).collect();
    assert_eq!(own.len(), 1);
    assert_eq!(world.judges(primary, &Message::ViewChange(own[0].clone())), Err(Invalid::WrongRole));
}

#[test]
fn r13_a_new_view_liar_is_refuted_by_its_own_view_changes() {
    let world = World::of(4);
    let changes = [0, 1, 2].map(|replica| world.view_change(1, Some(4), &[5, 7], id(replica)));
    let new_view = world.new_view(1, changes.to_vec());
    let mut lies = BTreeSet::new();
    for seed in 0..32 {
        let mut liar = Liar::with_seed(&world, Strategy::NewViewLiar, OWN, seed);
        let told = told_new_view(&mut liar, id(2), &new_view);
        assert_eq!(told_new_view(&mut liar, id(3), &new_view), told);
        assert!(is_valid(&world, &told), "that O does not follow is for the core");
        assert_eq!(told.follows(), Ok(false));
        let nulls = told.pre_prepares.iter().filter(|header| header.digest == NULL_DIGEST).count();
        lies.insert((told.pre_prepares.len(), nulls));
    }
    // Honest are 3 numbers, of which 6 is null: another digest, null over prepared, too short, too long.
    assert_eq!(lies, BTreeSet::from([(3, 1), (3, 2), (2, 1), (4, 2)]));
    let empty = world.new_view(1, [0, 1, 2].map(|replica| world.view_change(1, None, &[], id(replica))).to_vec());
    let told = told_new_view(&mut Liar::new(&world, Strategy::NewViewLiar, OWN), id(2), &empty);
    assert_eq!((is_valid(&world, &told), told.follows()), (true, Ok(false)));
}

#[test]
fn a_new_view_splitter_opens_the_view_twice_and_both_follow() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::NewViewSplitter, OWN);
    let change = |replica: u32, prepared: &[u64]| world.view_change(1, None, prepared, id(replica));
    let (own, first, second, third) = (change(1, &[1, 2]), change(0, &[]), change(2, &[1]), change(3, &[]));
    for late in [&first, &second, &third] {
        assert_eq!(liar.hears(late.replica, &Message::ViewChange(late.clone())), []);
    }
    // What its sender did not sign is not used.
    liar.hears(id(3), &Message::ViewChange(change(2, &[1, 2])));
    let new_view = world.new_view(1, vec![first, own, second]);
    let even = told_new_view(&mut liar, id(2), &new_view);
    let odd = told_new_view(&mut liar, id(3), &new_view);
    assert_eq!(Message::NewView(even.clone()), new_view);
    assert_eq!(told_new_view(&mut liar, id(3), &new_view), odd);
    for told in [&even, &odd] {
        assert!(is_valid(&world, told) && told.follows() == Ok(true));
    }
    assert_eq!(odd.view_changes.iter().map(|change| change.replica.0).collect::<Vec<_>>(), [0, 1, 3]);
    assert_eq!((even.pre_prepares.len(), odd.pre_prepares.len()), (2, 0));
    let suspect = Message::Suspect { view: View(1) };
    assert_eq!(liar.tells(id(3), &suspect), [suspect]);
    let told: Vec<_> = (0..80).flat_map(|executed| liar.tells(id(3), &status(1, executed))).collect();
    let given_away = told.iter().filter(|message| **message == new_view).count();
    assert!(told.len() == 80 + given_away && (3..30).contains(&given_away), "{given_away}");
}

#[test]
fn a_view_change_spammer_reaches_a_million_views_ahead_a_few_messages_at_a_time() {
    let world = World::of(4);
    let mut liar = Liar::new(&world, Strategy::ViewChangeSpammer, OWN);
    let heartbeat = Message::Heartbeat { view: View(5), counter: 1 };
    let mut views = Vec::new();
    for turn in 0..20 {
        liar.now = Duration::from_millis(10 * turn);
        let sent = liar.sends(id(2), &heartbeat);
        assert_eq!((sent.len(), &sent[0].1), (4, &heartbeat));
        assert_eq!(liar.sends(id(2), &heartbeat).len(), 1, "not at every message");
        let Ok(VerifiedMessage::ViewChange(change)) = world.judges(OWN, &sent[1].1) else { panic!("it is valid") };
        views.push(change.view.0);
    }
    assert_eq!((views[0], views[1], views[13], views[14]), (6, 8, 1_000_005, 6));
}

#[test]
fn a_usurper_opens_views_that_it_does_not_lead() {
    let world = World::of(4);
    let own = id(2);
    let mut liar = Liar::new(&world, Strategy::Usurper, own);
    let change = |replica| world.view_change(1, None, &[1], id(replica));
    liar.tells(id(0), &Message::ViewChange(change(2)));
    assert_eq!(liar.hears(id(3), &Message::ViewChange(change(3))), [], "that is no quorum yet");
    let opened = liar.hears(id(0), &Message::ViewChange(change(0)));
    assert_eq!(opened.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [id(0), id(1), id(3)]);
    let Message::NewView(new_view) = &opened[0].1 else { panic!("{opened:?}") };
    assert_eq!((new_view.view, new_view.replica, new_view.view_changes.len()), (View(1), own, 3));
    assert_eq!(world.judges(own, &opened[0].1), Err(Invalid::WrongRole));
    assert_eq!(liar.hears(id(1), &Message::ViewChange(change(1))), [], "once a view");
}

#[test]
fn r12_a_new_view_forger_shows_no_quorum_or_false_proposals_in_eight_ways() {
    let world = World::of(4);
    let mut liar = Liar::with_seed(&world, Strategy::NewViewForger, OWN, 0);
    let change = |view, replica| world.view_change(view, None, &[1], id(replica));
    // Replica 1 leads every fourth view.
    let shown = [1, 5, 9, 13, 17, 21, 25, 29].map(|view| {
        for replica in [0, 2, 3] {
            liar.hears(id(replica), &Message::ViewChange(change(view, replica)));
        }
        let honest = world.new_view(view, [0, 1, 2].map(|replica| change(view, replica)).to_vec());
        let forged = told_new_view(&mut liar, id(0), &honest);
        assert_eq!(told_new_view(&mut liar, id(3), &honest), forged, "the same to all");
        assert!(!is_valid(&world, &forged));
        forged.view_changes.iter().map(|change| (change.view.0, change.replica.0)).collect::<Vec<_>>()
    });
    let whole = |view| vec![(view, 0), (view, 1), (view, 2)];
    let lacking =
        [vec![(1, 1), (1, 2)], vec![(5, 1), (5, 1), (5, 2)], vec![(1, 0), (9, 1), (9, 2)], vec![(13, 0), (13, 2), (13, 3)]];
    let expected: Vec<Vec<(u64, u32)>> = lacking.into_iter().chain([17, 21, 25, 29].map(whole)).collect();
    assert_eq!(shown.to_vec(), expected);
}
