use serde::Serialize;
use std::time::Duration;

/// What the demo checks, in the order of its acts. The names are fixed: programs rely on them.
pub const NAMES: [&str; 11] = [
    "normal",
    "primary_killed",
    "restarted_replica_caught_up",
    "equivocation_evidence",
    "forged_signature_refused",
    "unknown_client_refused",
    "unpinned_key_refused",
    "replay_no_effect",
    "old_timestamp_refused",
    "state_roots_equal",
    "answers_match_model",
];

/// One thing that was measured, and whether it is as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name.
    pub name: &'static str,
    /// Whether it held.
    pub ok: bool,
    /// What was measured.
    pub detail: String,
    /// The time that it is about, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value_ms: Option<u64>,
}

/// What the demo found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether every check held.
    pub ok: bool,
    /// All checks, also those that were not reached.
    pub checks: Vec<Check>,
}

/// The checks made so far.
#[derive(Debug, Default)]
pub struct Checks(Vec<Check>);

impl Checks {
    /// Notes a check: held with a detail, or not with what was found instead.
    pub fn note(&mut self, name: &'static str, found: Result<String, String>, time: Option<Duration>) {
        let (ok, detail) = match found {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        let value_ms = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self.0.push(Check { name, ok, detail, value_ms });
    }

    /// Whether the last check held, and what was found.
    pub fn last(&self) -> Option<&Check> {
        self.0.last()
    }

    /// All checks by their fixed names. One that was not made did not hold, for the reason given.
    pub fn report(&self, interruption: Option<&str>) -> Report {
        let reason = interruption.unwrap_or("the check was not made");
        let missing = |name| Check { name, ok: false, detail: format!("not reached: {reason}"), value_ms: None };
        let found = |name| self.0.iter().find(|check| check.name == name).cloned();
        let checks: Vec<Check> = NAMES.into_iter().map(|name| found(name).unwrap_or_else(|| missing(name))).collect();
        Report { ok: interruption.is_none() && checks.iter().all(|check| check.ok), checks }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_that_was_not_made_did_not_hold() {
        let mut checks = Checks::default();
        NAMES.into_iter().skip(1).for_each(|name| checks.note(name, Ok("fine".to_owned()), None));
        let report = checks.report(None);
        assert!(!report.ok);
        assert_eq!(report.checks.iter().map(|check| check.name).collect::<Vec<_>>(), NAMES);
        assert!(!report.checks[0].ok);
        checks.note("normal", Ok("fine".to_owned()), Some(Duration::from_millis(7)));
        assert!(checks.report(None).ok);
        assert!(!checks.report(Some("interrupted")).ok);
    }

    #[test]
    fn one_that_did_not_hold_spoils_the_whole() {
        let mut checks = Checks::default();
        NAMES.into_iter().for_each(|name| checks.note(name, Ok("fine".to_owned()), None));
        checks.0[10] = Check { name: NAMES[10], ok: false, detail: "a mismatch".to_owned(), value_ms: None };
        assert!(!checks.report(None).ok);
    }
}
