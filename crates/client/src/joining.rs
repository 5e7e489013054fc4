//! Operations that share a request: one signature for all that was submitted while the last one was on its way.

use crate::{Accepted, ClientError, Executed};
use pbft_message::{Blob, Parameters, RequestRefusal, Timestamp};
use pbft_protocol::session::RequestError;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// The most bytes of operations that join; a larger operation goes alone. Many small requests share a batch as well.
const MOST_BYTES: usize = 256 << 10;
/// What a request costs beside its operations, and each operation beside its bytes, at most.
const OVERHEAD: usize = 256;
const OVERHEAD_OF_ONE: usize = 8;

/// One operation that somebody waits for.
pub(crate) struct Operation {
    pub bytes: Blob,
    /// Told the request's timestamp before it is sent. If nobody listens any more, the operation is left out.
    pub submitted: oneshot::Sender<Timestamp>,
    pub done: Done,
}

/// Nothing if the request was refused, and the operation alone may not be.
pub(crate) type Done = oneshot::Sender<Result<Option<Executed>, ClientError>>;

/// Tells each operation of a request its own result.
pub(crate) fn settle(operations: Vec<Done>, ended: Result<Accepted, RequestError>) {
    let is_alone = operations.len() == 1;
    let Accepted { timestamp, sequence, results } = match ended {
        Ok(accepted) => accepted,
        Err(error) => {
            let refused_together = !is_alone && matches!(error, RequestError::Refused(RequestRefusal::TooLarge { .. }));
            let told = || if refused_together { Ok(None) } else { Err(error.clone().into()) };
            return operations.into_iter().for_each(|done| drop(done.send(told())));
        }
    };
    for (done, result) in operations.into_iter().zip(results) {
        let _ = done.send(Ok(Some(Executed { timestamp, sequence, result })));
    }
}

/// The operations that wait for the next request.
#[derive(Default)]
pub(crate) struct Joining {
    waiting: VecDeque<Operation>,
    bytes: usize,
}

impl Joining {
    pub fn push(&mut self, operation: Operation) {
        self.bytes = self.bytes.saturating_add(cost(&operation));
        self.waiting.push_back(operation);
    }

    /// The operations of the next request: a lone one goes at once; while a request is on its way, only a full one does.
    pub fn next_request(&mut self, is_under_way: bool, limits: &Parameters) -> Option<Vec<Operation>> {
        let most_bytes = MOST_BYTES.min(limits.max_request_bytes.saturating_sub(OVERHEAD));
        let is_full = self.waiting.len() >= limits.max_operations || self.bytes >= most_bytes;
        if self.waiting.is_empty() || (is_under_way && !is_full) {
            return None;
        }
        let (mut request, mut bytes) = (Vec::new(), 0_usize);
        while let Some(next) = self.waiting.pop_front() {
            let size = cost(&next);
            let fits = request.len() < limits.max_operations && bytes.saturating_add(size) <= most_bytes;
            if !fits && !request.is_empty() {
                self.waiting.push_front(next);
                break;
            }
            self.bytes = self.bytes.saturating_sub(size);
            bytes = bytes.saturating_add(size);
            request.push(next);
        }
        Some(request)
    }
}

fn cost(operation: &Operation) -> usize {
    operation.bytes.len().saturating_add(OVERHEAD_OF_ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(joining: &mut Joining, sizes: &[usize]) {
        for size in sizes {
            joining.push(Operation { bytes: vec![0; *size].into(), submitted: oneshot::channel().0, done: oneshot::channel().0 });
        }
    }

    fn next(joining: &mut Joining, is_under_way: bool, limits: &Parameters) -> Option<Vec<usize>> {
        let request = joining.next_request(is_under_way, limits)?;
        Some(request.iter().map(|operation| operation.bytes.len()).collect())
    }

    #[test]
    fn a_lone_operation_goes_at_once_and_later_ones_join_while_it_is_under_way() {
        let (mut joining, limits) = (Joining::default(), Parameters::default());
        assert_eq!(next(&mut joining, false, &limits), None);
        push(&mut joining, &[1]);
        assert_eq!(next(&mut joining, false, &limits), Some(vec![1]));
        push(&mut joining, &[2, 3]);
        assert_eq!(next(&mut joining, true, &limits), None);
        push(&mut joining, &[4]);
        assert_eq!(next(&mut joining, false, &limits), Some(vec![2, 3, 4]));
    }

    #[test]
    fn a_full_request_does_not_wait() {
        let (mut joining, limits) = (Joining::default(), Parameters { max_operations: 3, ..Parameters::default() });
        push(&mut joining, &[1, 2, 3, 4]);
        assert_eq!(next(&mut joining, true, &limits), Some(vec![1, 2, 3]));
        assert_eq!(next(&mut joining, true, &limits), None);
    }

    #[test]
    fn what_joins_is_bounded_in_bytes_and_a_large_operation_goes_alone() {
        let (mut joining, limits) = (Joining::default(), Parameters::default());
        let half = MOST_BYTES / 2 - OVERHEAD_OF_ONE;
        push(&mut joining, &[half, half, 1, MOST_BYTES, 2]);
        assert_eq!(next(&mut joining, true, &limits), Some(vec![half, half]));
        assert_eq!(next(&mut joining, true, &limits), Some(vec![1]));
        assert_eq!(next(&mut joining, true, &limits), Some(vec![MOST_BYTES]));
        assert_eq!(next(&mut joining, true, &limits), None);
        assert_eq!(next(&mut joining, false, &limits), Some(vec![2]));
    }
}
