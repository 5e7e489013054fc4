use pbft_byzantine::Strategy;

/// All ways to lie, for `--help`.
pub fn strategies() -> String {
    let line = |strategy: Strategy| format!("\n  {:<20}  {}", strategy.name(), strategy.summary());
    let lines: String = Strategy::ALL.into_iter().map(line).collect();
    format!("Strategies, each also as intermittent:NAME, which is honest until it sees a view change:{lines}")
}
