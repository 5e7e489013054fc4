//! `seeds FIRST COUNT [trace]`: runs seeds and prints what failed; with `trace` the whole story of the first.
use pbft_simulator::{Extent, Options, run, run_all};

fn main() {
    let mut numbers = std::env::args().skip(1);
    let first = numbers.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = numbers.next().and_then(|text| text.parse().ok()).unwrap_or(100);
    let mut options = Options::default();
    if std::env::var("QUIET").is_ok() {
        options.replicas = Some(4);
        options.lies.clear();
        options.faults.clear();
    }
    if numbers.next().is_some() {
        let outcome = run(first, &options, true);
        outcome.lines.iter().for_each(|line| println!("{line}"));
        println!("{:?}", outcome.violation);
        return;
    }
    std::panic::set_hook(Box::new(|_| {}));
    let one = |seed| {
        let outcome = run(seed, &options, false);
        if let Some(violation) = &outcome.violation {
            println!("{seed}: {} {}", violation.invariant.name(), violation.detail);
        }
        outcome
    };
    let summary = run_all(first, Extent::Count(count), 2, 40, one, |_| {});
    println!(
        "{} seeds, {} events, {:.1} seeds/s, {:.0} events/s",
        summary.seeds,
        summary.events,
        summary.seeds_per_second(),
        summary.events_per_second()
    );
}
