use pbft_protocol::agreement::Delays;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt::Result;

/// Writes metrics, each with its help text and type. A name is as Prometheus has it, but for the `_total` of counters.
pub struct Writer<'a>(DescriptorEncoder<'a>);

/// The labels of a sample.
pub type Labels<'a> = Vec<(&'static str, &'a str)>;

impl<'a> Writer<'a> {
    pub fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    pub fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    pub fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// 1 for yes, 0 for no.
    pub fn flag(&mut self, name: &str, help: &str, value: bool) -> Result {
        self.gauge(name, help, u32::from(value))
    }

    /// One counter for each set of labels.
    pub fn counters<'l, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, V)>,
    ) -> Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        samples.into_iter().try_for_each(|(labels, value)| ConstCounter::new(value).encode(family.encode_family(&labels)?))
    }

    /// One gauge for each set of labels.
    pub fn gauges<'l, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (Labels<'l>, V)>,
    ) -> Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        samples.into_iter().try_for_each(|(labels, value)| ConstGauge::new(value).encode(family.encode_family(&labels)?))
    }

    /// A histogram of seconds.
    pub fn delays(&mut self, name: &str, help: &str, delays: &Delays) -> Result {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let classes: Vec<(f64, u64)> = delays.classes().map(|(bound, count)| (bound.as_secs_f64(), count)).collect();
        encoder.encode_histogram::<NoLabelSet>(delays.sum().as_secs_f64(), delays.count(), &classes, None)
    }
}
