use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How many lines of one place in the code may come together, and how often one more may.
const BURST: u32 = 50;
const INTERVAL: Duration = Duration::from_millis(100);

/// How often it is said what was left out.
const REPORT: Duration = Duration::from_secs(10);

/// The levels, gravest first.
const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// Log lines of this process, by level.
static LINES: [AtomicU64; LEVELS.len()] = [const { AtomicU64::new(0) }; LEVELS.len()];
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);
/// Lines left out since the last report, by event.
static UNREPORTED: Mutex<BTreeMap<String, u64>> = Mutex::new(BTreeMap::new());

/// How many lines of each level there were, and how many were left out.
pub fn lines() -> (impl Iterator<Item = (Level, u64)>, u64) {
    let counts = LEVELS.into_iter().zip(&LINES).map(|(level, count)| (level, count.load(Ordering::Relaxed)));
    (counts, LEFT_OUT.load(Ordering::Relaxed))
}

/// Says every so often how many lines were left out.
pub async fn report_left_out_regularly() {
    loop {
        tokio::time::sleep(REPORT).await;
        report_left_out();
    }
}

fn report_left_out() {
    let unreported = std::mem::take(&mut *UNREPORTED.lock().unwrap_or_else(PoisonError::into_inner));
    for (what, lines) in unreported {
        tracing::warn!(event = "lines_left_out", what, lines, "left out log lines that came too fast");
    }
}

/// A place in the code.
type Place = (Option<&'static str>, Option<u32>);

/// Lets each place in the code say only so much: whoever can make a replica write a line must not fill its disk, nor bury what
/// others say.
#[derive(Debug, Default)]
pub struct Flood(Mutex<BTreeMap<Place, Bucket>>);

#[derive(Debug)]
struct Bucket {
    tokens: u32,
    filled_at: Instant,
}

impl Flood {
    fn admits(&self, place: &Metadata<'static>, now: Instant) -> bool {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = places.entry((place.file(), place.line())).or_insert(Bucket { tokens: BURST, filled_at: now });
        bucket.take(now)
    }
}

impl Bucket {
    fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at);
        let more = elapsed.as_millis().checked_div(INTERVAL.as_millis()).and_then(|more| u32::try_from(more).ok());
        let more = more.unwrap_or(BURST);
        if more > 0 {
            self.tokens = self.tokens.saturating_add(more).min(BURST);
            self.filled_at = now;
        }
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }
}

impl<S: Subscriber> Layer<S> for Flood {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let place = event.metadata();
        let admitted = self.admits(place, Instant::now());
        if admitted {
            if let Some((_, count)) = LEVELS.into_iter().zip(&LINES).find(|(level, _)| level == place.level()) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        } else {
            LEFT_OUT.fetch_add(1, Ordering::Relaxed);
            let mut name = EventName(place.name().to_owned());
            event.record(&mut name);
            let mut unreported = UNREPORTED.lock().unwrap_or_else(PoisonError::into_inner);
            let count = unreported.entry(name.0).or_default();
            *count = count.saturating_add(1);
        }
        admitted
    }
}

/// What an event calls itself; places without a name are named by file and line. The code has only so many.
struct EventName(String);

impl Visit for EventName {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            value.clone_into(&mut self.0);
        }
    }

    fn record_debug(&mut self, _field: &Field, _value: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn a_place_may_say_so_much_at_once_and_then_at_a_steady_rate() {
        let start = Instant::now();
        let mut bucket = Bucket { tokens: BURST, filled_at: start };
        let mut admitted = |at: Duration| (0..1000).filter(|_| bucket.take(start + at)).count();
        assert_eq!(admitted(Duration::ZERO), BURST as usize);
        assert_eq!(admitted(INTERVAL / 2), 0);
        assert_eq!(admitted(INTERVAL * 3), 3);
        assert_eq!(admitted(INTERVAL * 1_000_000), BURST as usize);
    }

    /// The lines that are written, as a subscriber counts them.
    struct Written(std::sync::Arc<AtomicU64>);

    impl<S: Subscriber> Layer<S> for Written {
        fn on_event(&self, _event: &Event<'_>, _context: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_flood_is_cut_and_told_and_leaves_other_places_alone() {
        let written = std::sync::Arc::new(AtomicU64::new(0));
        let subscriber = tracing_subscriber::registry().with(Written(written.clone())).with(Flood::default());
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..10_000 {
                tracing::warn!(event = "flooding", "a line that someone provokes");
            }
            let of_flood = written.swap(0, Ordering::Relaxed);
            assert!((u64::from(BURST)..1_000).contains(&of_flood), "{of_flood}");
            tracing::warn!(event = "other", "a line of another place");
            assert_eq!(written.swap(0, Ordering::Relaxed), 1);
            assert!(UNREPORTED.lock().unwrap().get("flooding").is_some_and(|lines| *lines == 10_000 - of_flood));
            report_left_out();
            assert_eq!(written.load(Ordering::Relaxed), 1);
            assert!(!UNREPORTED.lock().unwrap().contains_key("flooding"));
        });
    }
}
