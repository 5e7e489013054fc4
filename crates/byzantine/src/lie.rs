use crate::{Context, Strategy, UnknownStrategy, intermittent};
use pbft_protocol::Outbound;
use std::fmt;
use std::str::FromStr;

/// What stands before a strategy's name for [`intermittent`].
const PREFIX: &str = "intermittent:";

/// How a replica lies, and whether from the start. Written `NAME` or `intermittent:NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lie {
    /// How.
    pub strategy: Strategy,
    /// Only after a view change was seen.
    pub intermittent: bool,
}

impl Lie {
    /// What stands between the replica and the network.
    pub fn outbound(self, context: &Context) -> Outbound {
        let outbound = self.strategy.outbound(context);
        if self.intermittent { intermittent(outbound) } else { outbound }
    }
}

impl From<Strategy> for Lie {
    fn from(strategy: Strategy) -> Self {
        Self { strategy, intermittent: false }
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = if self.intermittent { PREFIX } else { "" };
        write!(formatter, "{prefix}{}", self.strategy.name())
    }
}

impl FromStr for Lie {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, UnknownStrategy> {
        let later = text.strip_prefix(PREFIX);
        let strategy = later.unwrap_or(text).parse()?;
        Ok(Self { strategy, intermittent: later.is_some() })
    }
}
