use pbft_simulator::Violation;

/// How many lines before the end are told.
const LINES: usize = 40;
/// Of the plan, what says most.
const IMPORTANT: [&str; 8] = ["replicas", "parameters", "liars", "lost", "lying_clients", "network", "trouble", "safety"];

/// A failure for people: what did not hold, what the seed decided, how it ended, and how to see all of it. `place` is
/// where a panic was.
pub fn tell(seed: u64, violation: &Violation, lines: &[String], place: Option<String>, replay: &str) -> String {
    let mut told = vec![format!("Seed {seed} failed: {}", violation.invariant.name())];
    told.push(format!("  must hold  {}", violation.invariant));
    told.push(format!("  seen       {}", violation.detail));
    told.extend(place.map(|place| format!("  panicked   {place}")));
    let (plan, events) = lines.split_first().map_or(("", lines), |(plan, events)| (plan.as_str(), events));
    told.push("\nWhat the seed decided, in part:".to_owned());
    told.extend(plan_in_short(plan).into_iter().map(|field| format!("  {field}")));
    let telling: Vec<&String> = events.iter().filter(|line| !line.contains("  heartbeat ") && !line.ends_with(" wakes")).collect();
    let before = telling.len().saturating_sub(LINES);
    told.push(format!("\nHow it ended, without heartbeats, and {before} lines before that:"));
    told.extend(telling.into_iter().skip(before).cloned());
    told.push(format!("\nReplay it:        {replay}\nThe whole story:  {replay} --trace FILE\n"));
    told.join("\n")
}

/// The important fields of a plan that was printed over many lines, each in one line. What has one line stays.
fn plan_in_short(plan: &str) -> Vec<String> {
    if plan.lines().count() == 1 {
        return vec![plan.trim_start().to_owned()];
    }
    let mut fields: Vec<String> = Vec::new();
    for line in plan.lines().skip(1) {
        match line.strip_prefix("    ") {
            Some(field) if field.starts_with(|first: char| first.is_ascii_lowercase()) => fields.push(field.to_owned()),
            Some(more) => {
                if let Some(field) = fields.last_mut() {
                    field.push(' ');
                    field.push_str(more.trim());
                }
            }
            None => {}
        }
    }
    let is_important = |field: &String| IMPORTANT.iter().any(|name| field.split(':').next() == Some(name));
    fields.retain(is_important);
    fields.iter().map(|field| field.trim_end_matches(',').replace(", }", " }").replace("( ", "(").replace(", )", ")")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pbft_simulator::Invariant;

    const PLAN: &str = "0.000 ms  Plan {\n    replicas: 4,\n    keys: 3,\n    liars: {\n        2: Lie {\n            strategy: Mute,\n        },\n    },\n    network: (\n        1,\n        9,\n    ),\n    safety: 1.5s,\n}";

    #[test]
    fn a_failure_is_told_with_its_plan_its_end_and_its_replay() {
        let violation = Violation { invariant: Invariant::Agreement, detail: "replica 1 has a, another one b".to_owned() };
        let lines = std::iter::once(PLAN.to_owned()).chain((1..=100).map(|line| format!("line {line}")));
        let lines: Vec<String> =
            lines.chain(["9 ms  1 wakes".to_owned(), "9 ms  1 -> 2  heartbeat view 0 number 1".to_owned()]).collect();
        let told = tell(43, &violation, &lines, Some("replica.rs:7:9".to_owned()), "pbft sim --seed 43 --replicas 4");
        for part in [
            "Seed 43 failed: agreement\n",
            "for one number, all correct replicas commit the same batch",
            "replica 1 has a, another one b",
            "panicked   replica.rs:7:9\n",
            "  replicas: 4\n  liars: { 2: Lie { strategy: Mute } }\n  network: (1, 9)\n  safety: 1.5s\n",
            "and 60 lines before that:\nline 61\n",
            "\nline 100\n\nReplay it:        pbft sim --seed 43 --replicas 4\n",
            "  pbft sim --seed 43 --replicas 4 --trace FILE\n",
        ] {
            assert!(told.contains(part), "{part:?} is not in {told}");
        }
        assert!(!told.contains("keys") && !told.contains("line 60\n"));
        assert!(!tell(1, &violation, &[], None, "").contains("panicked"));
    }
}
