use super::meter::Meter;
use super::pace::Due;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The pause after an error, so that what is refused at once does not keep the machine busy.
const PAUSE: Duration = Duration::from_millis(10);

/// Asks, waits for the answer, asks again.
pub struct Lane {
    /// When to ask; `None`: as soon as there is an answer.
    pub due: Option<Due>,
    /// How many operations it asks for at a time.
    pub operations: u64,
    /// Where it is noted what became of them.
    pub meter: Arc<Meter>,
}

impl Lane {
    /// Works until it is stopped, or nothing will be due any more.
    ///
    /// Latencies count from when an operation was due, not from when there was a lane for it: a cluster that stands still
    /// does not hide the operations that were to come meanwhile (coordinated omission). So what is due and has no answer
    /// at the end counts with the age that it has.
    pub async fn run<F>(self, stop: CancellationToken, ask: impl Fn() -> F)
    where
        F: Future<Output = Result<(), &'static str>>,
    {
        let mut asked = None;
        let work = async {
            while let Some(instant) = self.next().await {
                asked = Some(instant);
                let ended = ask().await;
                self.meter.note(self.operations, ended.map(|()| instant.elapsed()));
                asked = None;
                if ended.is_err() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        stop.run_until_cancelled(work).await;
        if let Some(asked) = asked.filter(|_| self.due.is_some()) {
            self.meter.note_unanswered(self.operations, asked.elapsed());
        }
    }

    async fn next(&self) -> Option<Instant> {
        match &self.due {
            Some(due) => due.next().await,
            None => Some(Instant::now()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use tokio::sync::mpsc;

    /// A hundred operations that were due in the last second, 10 ms apart, the oldest first.
    fn late() -> Due {
        let (sender, instants) = mpsc::unbounded_channel();
        let now = Instant::now();
        for late in (1..=100).rev() {
            sender.send(now - Duration::from_millis(10 * late)).unwrap();
        }
        Due::from_channel(instants)
    }

    #[tokio::test]
    async fn a_latency_counts_from_when_the_operation_was_due() {
        let meter = Arc::new(Meter::new().unwrap());
        let lane = Lane { due: Some(late()), operations: 1, meter: meter.clone() };
        lane.run(CancellationToken::new(), || ready(Ok(()))).await;
        let readings = meter.take().unwrap();
        let at = |quantile| readings.latency.value_at_quantile(quantile) / 1000;
        assert_eq!(readings.operations, 100);
        assert!(at(0.5) >= 499 && at(0.99) >= 989 && readings.latency.min() >= 9_990, "{readings:?}");
    }

    #[tokio::test]
    async fn what_has_no_answer_at_the_end_counts_with_its_age() {
        let (meter, due, stop) = (Arc::new(Meter::new().unwrap()), late(), CancellationToken::new());
        let lane = Lane { due: Some(due.clone()), operations: 1, meter: meter.clone() };
        let begun = stop.clone();
        lane.run(stop, || {
            begun.cancel();
            pending()
        })
        .await;
        let readings = meter.take().unwrap();
        assert_eq!((readings.operations, readings.unanswered, readings.latency.len()), (0, 1, 1));
        assert!(readings.latency.min() >= 999_000, "{readings:?}");
        assert_eq!(due.left().await.len(), 99, "nobody took them");
    }

    #[tokio::test]
    async fn where_nothing_is_due_what_is_under_way_does_not_count() {
        let (meter, stop) = (Arc::new(Meter::new().unwrap()), CancellationToken::new());
        let lane = Lane { due: None, operations: 5, meter: meter.clone() };
        let begun = stop.clone();
        lane.run(stop, || {
            begun.cancel();
            pending()
        })
        .await;
        assert_eq!(meter.take().unwrap().unanswered, 0);
    }
}
