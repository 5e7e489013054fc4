use pbft_protocol::Outbound;

/// Listens and says nothing.
pub fn outbound() -> Outbound {
    Box::new(|_, _| Vec::new())
}
