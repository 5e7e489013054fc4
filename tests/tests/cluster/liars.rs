use crate::requests::signed;
use crate::{OBSERVER, all_is_well_among, replica};
use pbft_client::Client;
use pbft_message::{EvidenceKind, ReplicaId, ReplicaReport, Request, Signed, View};
use pbft_services::kv::Operation;
use pbft_tests::{Load, Network, PATIENCE, Plan, eventually, eventually_within};

/// All but the liar.
fn honest(network: &Network, liar: ReplicaId) -> Vec<ReplicaId> {
    network.ids().into_iter().filter(|id| *id != liar).collect()
}

/// Starts a network of which one replica lies.
async fn with_liar(replicas: u32, liar: ReplicaId, strategy: &str) -> (Network, Client) {
    let mut network = Network::new(&Plan::of(replicas)).await;
    for id in network.ids() {
        if id == liar {
            network.start_lying(id, strategy);
        } else {
            network.start(id);
        }
    }
    let observer = network.client(OBSERVER);
    (network, observer)
}

/// Waits until every honest replica holds valid evidence of this lie, and checks that none accuses anybody else.
async fn caught(network: &Network, observer: &Client, liar: ReplicaId, lie: EvidenceKind) {
    for holder in honest(network, liar) {
        let what = format!("replica {holder} has evidence that {liar} lied");
        eventually(&what, async || network.proven_lies(observer, holder, liar).await.contains(&lie).then_some(())).await;
    }
}

/// Waits until a replica is in an active view and connected to all others: evidence is sent once.
async fn is_back(network: &Network, observer: &Client, id: ReplicaId) {
    let others = network.genesis.replica_count() - 1;
    let look = |report: &ReplicaReport| (report.active && report.peers_up.len() == others).then_some(());
    network.report_shows(observer, id, "is back", look).await;
}

/// Restarts the primary of this view, unless it is the liar: the next one's turn comes.
async fn pass_the_turn(network: &mut Network, observer: &Client, liar: ReplicaId, view: View) {
    let primary = network.genesis.primary(view);
    if primary == liar {
        return;
    }
    network.kill(primary);
    let survivor = *honest(network, liar).iter().find(|id| **id != primary).expect("more than one is honest");
    network.report_shows(observer, survivor, "a higher view", |report| (report.view > view).then_some(())).await;
    network.start(primary);
    is_back(network, observer, primary).await;
}

/// Makes the liar the primary, again and again, until it has lied and was caught: a slow start, or a slow moment, may have
/// cost it the view before it had anything to propose.
async fn caught_as_primary(network: &mut Network, observer: &Client, liar: ReplicaId) {
    let honest = honest(network, liar);
    let turn = async || {
        let view = network.reports(observer).await.values().map(|report| report.view).max()?;
        let mut holders = 0;
        for holder in &honest {
            let kinds = network.proven_lies(observer, *holder, liar).await;
            holders += usize::from(kinds.contains(&EvidenceKind::TwoPrePrepares));
        }
        if holders == 0 {
            pass_the_turn(network, observer, liar, view).await;
        }
        (holders == honest.len()).then_some(())
    };
    // It takes turns in which others are restarted, on a small machine ten seconds each.
    eventually_within(4 * PATIENCE, "all honest replicas hold evidence of two proposals", turn).await;
}

async fn left_the_first_view(network: &Network, observer: &Client, liar: ReplicaId) {
    for id in honest(network, liar) {
        let look = |report: &ReplicaReport| (report.view > View(0) && report.active).then_some(());
        network.report_shows(observer, id, "entered a higher view", look).await;
    }
}

async fn an_equivocating_primary_is_caught(replicas: u32) {
    let liar = replica(0);
    let (mut network, observer) = with_liar(replicas, liar, "equivocate").await;
    let mut load = Load::start(&network, 31);
    caught_as_primary(&mut network, &observer, liar).await;
    load.goes_on(100).await;
    left_the_first_view(&network, &observer, liar).await;
    load.goes_on(100).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &honest(&network, liar)).await;
    caught(&network, &observer, liar, EvidenceKind::TwoPrePrepares).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equivocating_primary_of_four_is_caught_and_replaced() {
    an_equivocating_primary_is_caught(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equivocating_primary_of_seven_is_caught_and_replaced() {
    an_equivocating_primary_is_caught(7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_primary_that_turns_into_a_liar_is_caught_and_may_come_back_honest() {
    let mut network = Network::started(&Plan::of(4)).await;
    let observer = network.client(OBSERVER);
    let mut load = Load::start(&network, 32);
    load.goes_on(100).await;
    let view = network.reports(&observer).await.values().map(|report| report.view).max().unwrap();
    let liar = network.genesis.primary(view.next());
    network.kill(liar);
    network.start_lying(liar, "equivocate");
    is_back(&network, &observer, liar).await;
    caught_as_primary(&mut network, &observer, liar).await;
    load.goes_on(100).await;
    // Evidence outlives its holders' restarts.
    for id in honest(&network, liar) {
        network.kill(id);
        network.start(id);
    }
    caught(&network, &observer, liar, EvidenceKind::TwoPrePrepares).await;
    network.kill(liar);
    network.start(liar);
    load.goes_on(100).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &network.ids()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_primary_is_replaced() {
    let liar = replica(0);
    let (network, observer) = with_liar(4, liar, "mute").await;
    let mut load = Load::start(&network, 33);
    load.goes_on(100).await;
    left_the_first_view(&network, &observer, liar).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &honest(&network, liar)).await;
    network.nobody_is_accused(&observer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_double_voting_backup_is_caught_and_does_no_harm() {
    let liar = replica(2);
    let (network, observer) = with_liar(4, liar, "double-vote").await;
    let mut load = Load::start(&network, 34);
    load.goes_on(100).await;
    for holder in honest(&network, liar) {
        let what = format!("replica {holder} has evidence of two votes of {liar}");
        let look = async || {
            let kinds = network.proven_lies(&observer, holder, liar).await;
            (kinds.contains(&EvidenceKind::TwoPrepares) || kinds.contains(&EvidenceKind::TwoCommits)).then_some(())
        };
        eventually(&what, look).await;
    }
    load.goes_on(100).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &honest(&network, liar)).await;
}

/// A client that takes no part in the load.
const ASKER: usize = 3;

/// Reads of a client, each with a timestamp of its own: they change nothing.
fn requests_of(network: &Network, client: usize) -> Vec<Signed<Request>> {
    let read = || vec![Operation::get("a key").encode()];
    (1..2000).map(|timestamp| signed(network, network.client_keys(client), timestamp, read())).collect()
}

/// Backups measure what they know of, and this way they know of all.
async fn ask_all_replicas(client: Client, requests: Vec<Signed<Request>>) {
    for request in requests {
        client.resend_raw(request).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn r18_a_primary_that_holds_its_proposals_inside_the_timeout_is_replaced_for_it() {
    let liar = replica(0);
    let (mut network, observer) = with_liar(4, liar, "slow-primary").await;
    let mut load = Load::start(&network, 38);
    let honest = honest(&network, liar);
    for id in &honest {
        is_back(&network, &observer, *id).await;
    }
    let asking = tokio::spawn(ask_all_replicas(network.client(ASKER), requests_of(&network, ASKER)));
    // It may lose a view for another reason: a slow start, or a machine on which what it holds comes after the time-out.
    let left_for_slowness = async || {
        let (mut slow, mut view) = (0.0, View(0));
        for id in &honest {
            slow += network.metrics(*id).await.of("pbft_view_changes_total{reason=\"slow_primary\"}");
        }
        for report in network.reports(&observer).await.values() {
            view = view.max(report.view);
        }
        if slow == 0.0 {
            pass_the_turn(&mut network, &observer, liar, view).await;
        }
        (slow > 0.0).then_some(())
    };
    eventually_within(4 * PATIENCE, "the slow primary is left because it is slow", left_for_slowness).await;
    asking.abort();
    load.goes_on(200).await;
    let history = load.finish().await;
    all_is_well_among(&network, &observer, history, &honest).await;
    for id in honest {
        assert_eq!(network.proven_lies(&observer, id, liar).await.len(), 0, "slowness is suspicion, never evidence");
    }
}
