use pbft_message::{Genesis, Parameters};
use pbft_node::{LimitsConfig, TimingConfig};

/// What a network is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many replicas.
    pub replicas: u32,
    /// The cluster's numbers.
    pub parameters: Parameters,
    /// Each replica's timers.
    pub timing: TimingConfig,
    /// Each replica's bounds.
    pub limits: LimitsConfig,
    /// Whether replicas reach each other through proxies, and the seed of those.
    pub links: Option<u64>,
    /// Whether lies and development keys are allowed.
    pub test_network: bool,
}

impl Plan {
    /// The ordinary network of so many replicas.
    pub fn of(replicas: u32) -> Self {
        Self {
            replicas,
            parameters: Parameters::default(),
            timing: TimingConfig::default(),
            limits: LimitsConfig::default(),
            links: None,
            test_network: true,
        }
    }

    /// Through proxies that draw from this seed.
    #[must_use]
    pub fn with_links(self, seed: u64) -> Self {
        Self { links: Some(seed), ..self }
    }

    /// A short log, and a journal that begins anew every few batches, so that snapshots and state transfer happen soon.
    #[must_use]
    pub fn with_short_log(mut self) -> Self {
        self.parameters.checkpoint_interval = 4;
        self.parameters.log_window = 8;
        self.limits.journal_bytes = 16 << 10;
        self
    }

    pub(crate) fn genesis(&self) -> Genesis {
        Genesis {
            name: "test".to_owned(),
            test_network: self.test_network,
            parameters: self.parameters.clone(),
            service: pbft_message::ServiceParameters::default(),
            replicas: Vec::new(),
            operators: Vec::new(),
            clients: Vec::new(),
        }
    }
}
