use super::invariant::{Invariant, Violation};
use super::reference::Reference;
use pbft_message::{ClientId, Timestamp};
use pbft_protocol::session::{Completed, RequestError};
use std::collections::BTreeMap;
use std::time::Duration;

/// What correct clients did and saw, in the simulator's time.
#[derive(Default)]
pub struct History {
    requests: BTreeMap<(ClientId, Timestamp), Asked>,
}

struct Asked {
    at: Duration,
    answered: Option<Duration>,
}

impl History {
    pub fn asked(&mut self, client: ClientId, timestamp: Timestamp, at: Duration) {
        self.requests.insert((client, timestamp), Asked { at, answered: None });
    }

    /// What a client accepted must be what the model answers.
    pub fn answered(&mut self, completed: &Completed, at: Duration, reference: &Reference) -> Result<(), Violation> {
        let id = (completed.client, completed.timestamp);
        if let Some(asked) = self.requests.get_mut(&id) {
            asked.answered = Some(at);
        }
        let executed = reference.executed(id.0, id.1);
        let right = match &completed.result {
            Ok(accepted) => {
                executed.is_some_and(|executed| executed.position.0 == accepted.sequence && executed.results == accepted.results)
            }
            Err(RequestError::ResultGone(sequence)) => {
                reference.may_be_gone(id, reference.through()) && executed.is_some_and(|executed| executed.position.0 == *sequence)
            }
            // A correct client's requests are in order: it never reuses a timestamp, nor overtakes its window.
            Err(RequestError::Refused(_)) => false,
        };
        if right {
            return Ok(());
        }
        let detail = format!("client {} accepted {:?} for {}", id.0, completed.result, id.1.0);
        Err(Violation { invariant: Invariant::AnswersAreRight, detail })
    }

    /// The agreed order is a witness: if answers are the model's in that order, and nobody who was answered before another
    /// asked stands behind it, then the history is linearizable, as a whole and for every key.
    pub fn check(&self, reference: &Reference) -> Result<(), Violation> {
        let mut order = BTreeMap::new();
        for (id, asked) in &self.requests {
            match reference.executed(id.0, id.1) {
                Some(executed) => _ = order.insert(executed.position, (*id, asked)),
                None if asked.answered.is_some() => {
                    let detail = format!("request {} of {} was answered and is in no batch", id.1.0, id.0);
                    return Err(Violation { invariant: Invariant::Linearizable, detail });
                }
                None => {}
            }
        }
        let mut latest = Duration::ZERO;
        for (position, (id, asked)) in order {
            latest = latest.max(asked.at);
            if asked.answered.is_some_and(|answered| answered < latest) {
                let detail = format!(
                    "request {} of {} at {:?} was answered before an earlier one in the order was even asked",
                    id.1.0, id.0, position
                );
                return Err(Violation { invariant: Invariant::Linearizable, detail });
            }
        }
        Ok(())
    }
}
