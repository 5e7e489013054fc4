use super::load::Load;
use super::stage::Stage;
use crate::failure::Failure;
use std::time::{Duration, Instant};

const REQUESTS: usize = 1000;
/// How many requests of a client are in flight.
const LANES: usize = 8;

/// (a) Four honest replicas, four clients, 1,000 signed requests.
pub async fn act(stage: &mut Stage) -> Result<(), Failure> {
    stage.story.act("Act 1: all replicas are honest");
    stage.story.doing(format!("{} clients write and read: {REQUESTS} signed requests", stage.writers.len()));
    let each = REQUESTS.div_ceil(stage.writers.len().max(1));
    let started = Instant::now();
    Load::burst(&stage.writers, LANES, each as u64).finish().await?;
    let time = started.elapsed();

    let answered = stage.history.len();
    let latencies = stage.history.latencies();
    let found = format!(
        "{answered} signed requests of {} clients answered, {:.0} a second; latency {} at the median, {} at the 99th percentile",
        stage.writers.len(),
        answered as f64 / time.as_secs_f64(),
        milliseconds(percentile(&latencies, 50)),
        milliseconds(percentile(&latencies, 99)),
    );
    stage.check("normal", if answered >= REQUESTS { Ok(found) } else { Err(found) }, Some(time));
    Ok(())
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let place = sorted.len().saturating_mul(percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}
