use crate::failure::Failure;
use pbft_byzantine::{Lie, Strategy, UnknownStrategy};
use pbft_message::ReplicaId;
use pbft_node::ExitCode;
use std::collections::BTreeMap;

/// All ways to lie, for `--help`.
pub fn strategies() -> String {
    let line = |strategy: Strategy| format!("\n  {:<20}  {}", strategy.name(), strategy.summary());
    let lines: String = Strategy::ALL.into_iter().map(line).collect();
    format!("Strategies, each also as intermittent:NAME, which is honest until it sees a view change:{lines}")
}

/// A replica that lies, and how: `ID=STRATEGY`.
pub fn parse_liar(text: &str) -> Result<(ReplicaId, Lie), String> {
    let (id, strategy) = text.split_once('=').ok_or("it is not ID=STRATEGY, as in 0=equivocate")?;
    let id = id.parse().map_err(|_| format!("{id:?} is not the number of a replica"))?;
    Ok((ReplicaId(id), strategy.parse().map_err(|error: UnknownStrategy| error.to_string())?))
}

/// What several `--byzantine` say together, in a cluster of so many replicas.
pub fn liars(named: &[(ReplicaId, Lie)], replicas: u32) -> Result<BTreeMap<ReplicaId, Lie>, Failure> {
    let usage = |message| Failure::new(ExitCode::Usage, "Usage", message);
    if let Some((id, _)) = named.iter().find(|(id, _)| id.0 >= replicas) {
        return Err(usage(format!("--byzantine {id}: there are {replicas} replicas, from 0 on")));
    }
    let liars: BTreeMap<_, _> = named.iter().copied().collect();
    if liars.len() < named.len() {
        return Err(usage("--byzantine names a replica twice".to_owned()));
    }
    Ok(liars)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_liar_is_a_number_and_a_strategy() {
        assert_eq!(parse_liar("2=mute"), Ok((ReplicaId(2), Strategy::Mute.into())));
        let later = Lie { strategy: Strategy::DoubleVote, intermittent: true };
        assert_eq!(parse_liar("0=intermittent:double-vote"), Ok((ReplicaId(0), later)));
        assert!(parse_liar("2").is_err() && parse_liar("x=mute").is_err());
        assert!(parse_liar("2=fib").unwrap_err().contains("equivocate"));
    }

    #[test]
    fn a_liar_is_named_once_and_exists() {
        let mute = |id| (ReplicaId(id), Strategy::Mute.into());
        assert_eq!(liars(&[mute(3), mute(0)], 4).unwrap().len(), 2);
        assert!(liars(&[mute(4)], 4).is_err() && liars(&[mute(1), mute(1)], 4).is_err());
    }
}
