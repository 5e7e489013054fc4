//! `hunt FIRST MOST`: runs seeds from FIRST on until one fails, MOST at the most, on all cores. Prints how many seeds it
//! took and the invariant that did not hold; ends with 1 if none failed. For the controls, see controls/README.md.
#![allow(clippy::unwrap_used, reason = "a tool for tests")]
use pbft_simulator::{Options, Violation, run};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse().unwrap());
    let first: u64 = numbers.next().unwrap_or(0);
    let most: u64 = numbers.next().unwrap_or(100);
    // A panic is a violation and is told as one.
    std::panic::set_hook(Box::new(|_| {}));
    let options = Options::default();
    let next = AtomicU64::new(0);
    let end = AtomicU64::new(most);
    let failed: Mutex<BTreeMap<u64, Violation>> = Mutex::default();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= end.load(Ordering::Relaxed) {
                return;
            }
            if let Some(violation) = run(first.saturating_add(index), &options, false).violation {
                end.fetch_min(index, Ordering::Relaxed);
                failed.lock().unwrap().insert(index, violation);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    // Seeds below the first failure are all done: the answer does not depend on how many cores there are.
    match failed.into_inner().unwrap().first_key_value() {
        Some((index, violation)) => {
            println!("{} {} {}", index.saturating_add(1), violation.invariant.name(), violation.detail);
            ExitCode::SUCCESS
        }
        None => {
            println!("{most} none");
            ExitCode::FAILURE
        }
    }
}
