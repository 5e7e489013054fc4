//! What a replica says of itself at `http://ADDRESS/metrics`. A replica without it is no error: its figures are absent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a replica has to answer while it is busy.
const ANSWER: Duration = Duration::from_secs(2);
/// More than any answer is long.
const MOST_BYTES: u64 = 4 << 20;

/// The samples of a text in Prometheus' format, by name and labels as they stand there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// Asks a replica; `None` if it does not answer.
    pub async fn ask(address: SocketAddr) -> Option<Self> {
        let text = timeout(ANSWER, get(address)).await.ok()?.ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        head.lines().next()?.contains(" 200").then(|| Self::parse(body))
    }

    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            // A label's value may hold blanks, so the number is what stands after the last one.
            let (name, value) = line.trim_end().rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// How much a counter grew since an earlier look; `None` if the replica does not have it.
    pub fn growth(&self, earlier: &Self, counter: &str) -> Option<f64> {
        Some(self.0.get(counter)? - earlier.0.get(counter).copied().unwrap_or(0.0))
    }

    /// How much a counter with one label grew, by the label's value.
    pub fn growth_by_label(&self, earlier: &Self, counter: &str) -> BTreeMap<String, f64> {
        let value = |name: &str| {
            let labels = name.strip_prefix(counter)?.strip_prefix('{')?;
            Some(labels.split('"').nth(1)?.to_owned())
        };
        self.0.keys().filter_map(|name| Some((value(name)?, self.growth(earlier, name)?))).collect()
    }
}

/// HTTP/1.0, so that the answer ends with the connection and is in one piece.
async fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").await?;
    let mut text = String::new();
    stream.take(MOST_BYTES).read_to_string(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    const BEFORE: &str = "# HELP pbft_journal_syncs_total Fsyncs.\n# TYPE pbft_journal_syncs_total counter\n\
         pbft_journal_syncs_total 10\npbft_stage_cpu_seconds_total{stage=\"verify\"} 1.5\n";
    const AFTER: &str = "pbft_journal_syncs_total 30\npbft_stage_cpu_seconds_total{stage=\"verify\"} 2.0\n\
         pbft_stage_cpu_seconds_total{stage=\"hash\"} 0.25\n";

    #[test]
    fn counters_are_compared_and_what_is_absent_is_not_zero() {
        let (before, after) = (Metrics::parse(BEFORE), Metrics::parse(AFTER));
        assert_eq!(after.growth(&before, "pbft_journal_syncs_total"), Some(20.0));
        assert_eq!(after.growth(&before, "pbft_batches_executed_total"), None);
        let stages = after.growth_by_label(&before, "pbft_stage_cpu_seconds_total");
        assert_eq!(stages, BTreeMap::from([("hash".to_owned(), 0.25), ("verify".to_owned(), 0.5)]));
    }

    #[tokio::test]
    async fn an_answer_is_read_to_its_end() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serve = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 64];
            assert!(stream.read(&mut request).await.unwrap() > 0 && request.starts_with(b"GET /metrics "));
            let answer = format!("HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n{BEFORE}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let (asked, ()) = tokio::join!(Metrics::ask(address), serve);
        assert_eq!(asked, Some(Metrics::parse(BEFORE)));
        assert_eq!(Metrics::ask(address).await, None);
    }
}
