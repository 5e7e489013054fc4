//! Clocks against the bound on proposed time (R3).

use super::finding::Finding;
use super::look::Look;
use pbft_message::ReplicaReport;

/// Half of the bound is worth a warning, as for the alert `PbftClocksDiffer`. The clocks were read within a round trip.
pub fn find(look: &Look) -> Vec<Finding> {
    let mut clocks: Vec<u64> = look.reports.values().map(|report| report.condition.clock).collect();
    clocks.sort_unstable();
    // Of a quorum's clocks the middle one is not beyond all correct ones, whatever f of them say.
    let Some(middle) = clocks.get(clocks.len() / 2).copied() else { return Vec::new() };
    look.reports.values().filter_map(|report| skewed(report, middle)).collect()
}

fn skewed(report: &ReplicaReport, middle: u64) -> Option<Finding> {
    let (id, clock, bound) = (report.replica, report.condition.clock, report.condition.clock_drift);
    let apart = clock.abs_diff(middle);
    if apart <= bound / 2 {
        return None;
    }
    let (direction, harm) = match clock > middle {
        true => ("ahead of", "as primary its proposals have to wait, and it is replaced"),
        false => ("behind", "it cannot vote for what the others propose"),
    };
    let message = format!(
        "the clock of replica {id} is {:.1} s {direction} the others'; beyond {:.1} s (timing.clock_drift) {harm}",
        apart as f64 / 1e6,
        bound as f64 / 1e6
    );
    let finding =
        Finding::warning("ClockSkew", Some(id.0), message, "Set its clock, and keep it by NTP (chrony, systemd-timesyncd)");
    Some(finding)
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{codes, look};
    use super::*;
    use pbft_message::ReplicaId;

    #[test]
    fn a_clock_that_is_off_by_more_than_half_the_bound_is_found_in_both_directions() {
        assert_eq!(find(&look()), []);
        let skew = |micros: i64| {
            let mut look = look();
            let condition = &mut look.reports.get_mut(&ReplicaId(1)).unwrap().condition;
            condition.clock = condition.clock.saturating_add_signed(micros);
            find(&look)
        };
        assert_eq!(skew(2_400_000), []);
        assert_eq!(codes(&skew(2_600_000)), [("ClockSkew", Some(1))]);
        assert!(skew(7_000_000)[0].message.contains("7.0 s ahead of"));
        assert!(skew(-7_000_000)[0].message.contains("7.0 s behind"));
    }
}
