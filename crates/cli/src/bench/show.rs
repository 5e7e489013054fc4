//! A report for people.

use super::report::{Floor, Latency, OfReplica, Report};
use crate::output::{print_table, print_text};

impl Report {
    /// Shows it.
    pub fn show(&self) {
        print_table(&["measured", ""], self.rows());
        if !self.stage_us_per_op.is_empty() {
            let stages = self.stage_us_per_op.iter();
            let rows = stages.map(|(stage, cost)| [stage.clone(), number(cost.primary), number(cost.backup)]);
            print_table(&["CPU us/op by stage", "primary", "a backup"], rows);
        }
        if !self.by_replica.is_empty() {
            print_table(&["replica", "role", "CPU us/op", "by thread", "MB"], self.by_replica.iter().map(OfReplica::row));
        }
        for (error, count) in &self.errors_by_name {
            print_text(&format!("{count} operations ended with {error}"));
        }
    }

    fn rows(&self) -> Vec<[String; 2]> {
        let cpu = &self.cpu_us_per_op;
        let latency = self
            .latency_ms
            .map_or("-".to_owned(), |Latency { p50, p90, p99, p999, max, .. }| format!("{p50}, {p90}, {p99}, {p999}, {max} ms"));
        let signatures = self.floor.map_or("-".to_owned(), |Floor { signatures: cost, .. }| {
            format!("sign {} us, verify {} us (batches of {}, {} keys)", cost.sign_us, cost.verify_us, cost.batch, cost.keys)
        });
        let floor = self.floor.zip(self.floor_fraction).map_or("-".to_owned(), |(floor, fraction)| {
            format!("{:.1} % of {:.0} operations/s on {} cores", fraction * 100.0, floor.ops_per_s, floor.cores)
        });
        let mut rows = vec![
            ("throughput", format!("{:.0} operations/s", self.throughput_ops_per_s)),
            ("latency p50, p90, p99, p99.9, max", latency),
            ("CPU per operation: clients, primary, a backup, all", numbers([cpu.client, cpu.primary, cpu.backup, cpu.total], "us")),
            ("signatures on this machine", signatures),
            ("of what signatures allow", floor),
            ("operations a request, requests a batch", numbers([self.mean_ops_per_request, self.requests_per_batch], "")),
            ("fsyncs per operation, of a replica", number(self.fsyncs_per_op)),
            (
                "bytes per operation, of a replica: journal, written, sent",
                numbers([self.journal_bytes_per_op, self.written_bytes_per_op, self.sent_bytes_per_op], ""),
            ),
            ("memory of a replica", numbers([self.rss_mb], "MB")),
            ("view, view changes", format!("{}, {}", number(self.view.map(|view| view as f64)), self.view_changes)),
        ];
        if let Some(unanswered) = self.unanswered {
            rows.push(("due and not answered at the end", unanswered.to_string()));
        }
        rows.push(("errors", self.errors.to_string()));
        rows.into_iter().map(|(name, value)| [name.to_owned(), value]).collect()
    }
}

impl OfReplica {
    fn row(&self) -> [String; 5] {
        let threads = self.threads_us_per_op.iter().filter_map(|(name, cpu)| Some((name, (*cpu)?)));
        let mut threads: Vec<_> = threads.filter(|(_, cpu)| *cpu > 0.0).collect();
        threads.sort_by(|one, other| other.1.total_cmp(&one.1));
        let threads: Vec<String> = threads.iter().map(|(name, cpu)| format!("{name} {cpu}")).collect();
        [self.replica.to_string(), self.role.clone(), number(self.cpu_us_per_op), threads.join(", "), self.rss_mb.to_string()]
    }
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| value.to_string())
}

fn numbers<const N: usize>(values: [Option<f64>; N], unit: &str) -> String {
    format!("{} {unit}", values.map(number).join(", ")).trim_end().to_owned()
}
