use std::num::NonZeroUsize;

/// What the clients ask for.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// Operations that each client has in flight; at most so many where a rate is given.
    pub in_flight: usize,
    /// How they become requests.
    pub grouping: Grouping,
    /// The size of a value, or of an operation of the null service, in bytes.
    pub payload: usize,
    /// Over how many keys the values go.
    pub keys: u64,
    /// Operations a second that are due, whatever became of those before; `None`: the next one when one is answered.
    pub rate: Option<f64>,
}

/// How operations become requests, each with one signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// So many in each.
    Fixed(NonZeroUsize),
    /// Those that are submitted while a request is in flight go together.
    Auto,
}

impl Workload {
    /// How many of a client's tasks ask and wait, and how many operations each of them asks for at a time.
    pub fn lanes(&self) -> (usize, usize) {
        match self.grouping {
            Grouping::Fixed(operations) => (self.in_flight.div_ceil(operations.get()), operations.get()),
            Grouping::Auto => (self.in_flight, 1),
        }
    }

    /// How many requests so many clients have in flight at most.
    pub fn requests_in_flight(&self, clients: usize) -> usize {
        let of_a_client = match self.grouping {
            Grouping::Fixed(_) => self.lanes().0,
            Grouping::Auto => 1,
        };
        of_a_client.saturating_mul(clients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_flight_counts_operations() {
        let workload = |in_flight, grouping| Workload { in_flight, grouping, payload: 100, keys: 1, rate: None };
        let fixed = |operations| Grouping::Fixed(NonZeroUsize::new(operations).unwrap());
        assert_eq!(workload(256, fixed(1)).lanes(), (256, 1));
        assert_eq!(workload(256, fixed(100)).lanes(), (3, 100));
        assert_eq!(workload(400, Grouping::Auto).lanes(), (400, 1));
        assert_eq!(workload(256, fixed(64)).requests_in_flight(4), 16);
        assert_eq!(workload(400, Grouping::Auto).requests_in_flight(16), 16);
    }
}
