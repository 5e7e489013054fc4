//! Proofs of lies (R17).

use super::finding::Finding;
use super::look::Look;
use crate::commands::evidence::lie;

pub fn find(look: &Look) -> Vec<Finding> {
    let finding = |id: pbft_message::ReplicaId| {
        let lies: Vec<String> = look.evidence.iter().filter(|evidence| evidence.accused().0 == id).map(lie).collect();
        let message =
            format!("replica {id} is proven to have lied, {} times: {}", lies.len(), lies.first().map_or("", String::as_str));
        let action = "Ask who runs it: it lies, or its disk was rolled back. pbft evidence list writes the proofs into files";
        Finding::critical("Evidence", Some(id.0), message, action)
    };
    look.liars().into_iter().map(finding).collect()
}
