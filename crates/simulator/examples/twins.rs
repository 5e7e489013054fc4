//! `twins FIRST COUNT [trace]`: runs Twins scenarios and prints what failed; with `trace` the whole story of the first.
use pbft_simulator::{Extent, TwinsScenario, run_all, run_twins};

fn main() {
    let mut numbers = std::env::args().skip(1);
    let first = numbers.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = numbers.next().and_then(|text| text.parse().ok()).unwrap_or(100);
    if numbers.next().is_some() {
        let outcome = run_twins(first, true);
        outcome.lines.iter().for_each(|line| println!("{line}"));
        println!("{:?}", outcome.violation);
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let summary = run_all(first, Extent::Count(count), 2, 40, |index| run_twins(index, false), |_| {});
    for (index, violation) in &summary.failed {
        println!("{index}: {} {}\n    {:?}", violation.invariant.name(), violation.detail, TwinsScenario::number(*index));
    }
    println!(
        "{} scenarios, {} events, {:.1} scenarios/s, {:.0} events/s",
        summary.seeds,
        summary.events,
        summary.seeds_per_second(),
        summary.events_per_second()
    );
}
