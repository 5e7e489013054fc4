use super::plot::{Point, draw};
use super::report::{Latency, Report};
use crate::failure::Failure;
use crate::output::print_table;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What was measured at rising levels of load.
#[derive(Clone, Debug, Serialize)]
pub struct Sweep {
    pub ok: bool,
    /// From the lowest level on.
    pub levels: Vec<Report>,
    /// The file with the curve.
    pub plot: Option<PathBuf>,
}

/// How many operations each client has in flight, from level to level: powers of two up to the most, and the most.
pub fn levels(most: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1usize), |level| level.checked_mul(2)).take_while(|level| *level < most);
    powers.chain([most]).collect()
}

impl Sweep {
    pub fn new(levels: Vec<Report>) -> Self {
        Self { ok: levels.iter().all(|report| report.ok), levels, plot: None }
    }

    /// Draws the curve.
    pub fn plot(&mut self, file: &Path) -> Result<(), Failure> {
        let Some(first) = self.levels.first() else { return Ok(()) };
        let (replicas, clients, payload, service) = (first.replicas, first.clients, first.payload_bytes, first.service);
        let title =
            format!("{replicas} replicas, {clients} clients, {payload} bytes, service {service}; operations in flight of a client");
        let point = |report: &Report| {
            let Latency { p50, p99, p999, .. } = report.latency_ms?;
            Some(Point { in_flight: report.in_flight, throughput: report.throughput_ops_per_s, latencies: [p50, p99, p999] })
        };
        draw(file, &title, &self.levels.iter().filter_map(point).collect::<Vec<_>>())?;
        self.plot = Some(file.to_owned());
        Ok(())
    }

    /// Shows it to people.
    pub fn show(&self) {
        let row = |report: &Report| {
            let latency = |of: fn(Latency) -> f64| report.latency_ms.map_or("-".to_owned(), |latency| of(latency).to_string());
            [
                report.in_flight.to_string(),
                format!("{:.0}", report.throughput_ops_per_s),
                latency(|latency| latency.p50),
                latency(|latency| latency.p99),
                latency(|latency| latency.p999),
                report.cpu_us_per_op.total.map_or("-".to_owned(), |cpu| cpu.to_string()),
                report.errors.to_string(),
            ]
        };
        let header = ["in flight", "operations/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU us/op", "errors"];
        print_table(&header, self.levels.iter().map(row));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_double_up_to_the_most() {
        assert_eq!(levels(1), [1]);
        assert_eq!(levels(8), [1, 2, 4, 8]);
        assert_eq!(levels(100), [1, 2, 4, 8, 16, 32, 64, 100]);
    }
}
