//! `/metrics`, in the Prometheus text format.

mod agreement;
mod host;
mod network;
mod writer;

pub use prometheus_client::encoding::prometheus_text::CONTENT_TYPE;

use super::Instruments;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, prometheus_text};
use prometheus_client::registry::Registry;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use writer::Writer;

/// All metrics as they are now.
pub fn page(instruments: &Arc<Instruments>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(instruments.clone())));
    instruments.shared.meters.register(&mut registry);
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = prometheus_text::encode(&mut text, &registry);
    text
}

/// What is not counted as it happens but looked up when somebody asks.
struct Metrics(Arc<Instruments>);

impl Debug for Metrics {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut writer = Writer::new(encoder);
        host::write(&self.0, &mut writer)?;
        agreement::write(&self.0, &mut writer)?;
        network::write(&self.0, &mut writer)
    }
}
