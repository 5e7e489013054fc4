use crate::{Network, PATIENCE, eventually};
use pbft_message::ReplicaId;
use pbft_node::StatusPage;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A page that a replica gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// HTTP's status code.
    pub status: u16,
    /// The lines before the body, lower case.
    pub head: String,
    /// What it says.
    pub body: String,
}

/// The samples of `/metrics`, by name with labels as they are written.
#[derive(Clone, Debug, Default)]
pub struct Samples(BTreeMap<String, f64>);

/// Asks for a page. None if nobody listens, or the connection ends without an answer.
pub async fn page(address: SocketAddr, method: &str, path: &str) -> Option<Page> {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let answer = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Page { status, head: head.to_lowercase(), body: body.to_owned() })
    };
    timeout(PATIENCE, answer).await.expect("a replica answers or closes the connection")
}

impl Samples {
    /// A sample, by its name with its labels; 0 if it is not there, as a counter is that has not been needed.
    pub fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0.0)
    }

    /// Whether there is such a sample.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All samples of a metric, whatever their labels, added up.
    pub fn sum(&self, metric: &str) -> f64 {
        let of_metric = |name: &str| name.strip_prefix(metric).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'));
        self.0.iter().filter(|(name, _)| of_metric(name)).map(|(_, value)| value).sum()
    }

    fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
        });
        Self(samples.collect())
    }
}

impl Network {
    /// Where a replica tells how it is.
    pub fn http_address(&self, id: ReplicaId) -> SocketAddr {
        self.address(id)
    }

    /// A page of a replica. None while it does not run.
    pub async fn page(&self, id: ReplicaId, path: &str) -> Option<Page> {
        page(self.http_address(id), "GET", path).await
    }

    /// The metrics of a replica that runs.
    pub async fn metrics(&self, id: ReplicaId) -> Samples {
        let page = self.page(id, "/metrics").await.unwrap_or_else(|| panic!("replica {id} gives no metrics"));
        Samples::parse(&page.body)
    }

    /// Waits until the metrics of a replica show something.
    pub async fn metrics_show(&self, id: ReplicaId, what: &str, look: impl Fn(&Samples) -> bool) -> Samples {
        let what = format!("the metrics of replica {id}: {what}");
        eventually(&what, async || Some(self.metrics(id).await).filter(&look)).await
    }

    /// Waits until a replica is ready, or not ready for a reason with these words.
    pub async fn readiness(&self, id: ReplicaId, status: u16, words: &str) {
        let what = format!("replica {id} answers {status}, {words:?}");
        let fits = |page: &Page| page.status == status && page.body.contains(words);
        eventually(&what, async || self.page(id, "/readyz").await.filter(&fits)).await;
    }

    /// The status of a replica that runs.
    pub async fn status(&self, id: ReplicaId) -> StatusPage {
        let page = self.page(id, "/status").await.unwrap_or_else(|| panic!("replica {id} gives no status"));
        serde_json::from_str(&page.body).unwrap_or_else(|error| panic!("{error} in {}", page.body))
    }
}
