use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Ok,
    /// The cluster works, and survives less than it should.
    Warning,
    /// It does not work, or somebody must look at it now.
    Critical,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub severity: Severity,
    /// A name that programs can rely on.
    pub code: &'static str,
    /// The replica that it is about, if it is about one.
    pub replica: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub action: String,
}

impl Finding {
    pub fn warning(code: &'static str, replica: Option<u32>, message: impl Into<String>, action: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, code, replica, message: message.into(), action: action.into() }
    }

    pub fn critical(code: &'static str, replica: Option<u32>, message: impl Into<String>, action: impl Into<String>) -> Self {
        Self { severity: Severity::Critical, ..Self::warning(code, replica, message, action) }
    }

    /// Whether another look found the same, whatever its numbers are by now.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.code, self.replica) == (other.code, other.replica)
    }
}

/// `pbft doctor -o json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    pub severity: Severity,
    /// The gravest first.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    pub fn new(mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let severity = findings.first().map_or(Severity::Ok, |finding| finding.severity);
        Self { severity, findings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gravest_finding_is_first_and_names_the_severity() {
        assert_eq!(Diagnosis::new(vec![]).severity, Severity::Ok);
        let (small, grave) = (Finding::warning("A", None, "", ""), Finding::critical("B", Some(1), "", ""));
        let diagnosis = Diagnosis::new(vec![small.clone(), grave.clone()]);
        assert_eq!((diagnosis.severity, diagnosis.findings), (Severity::Critical, vec![grave, small]));
        let text = serde_json::to_value(Diagnosis::new(vec![Finding::warning("A", Some(3), "m", "a")])).unwrap();
        let finding = serde_json::json!({ "severity": "warning", "code": "A", "replica": 3, "message": "m", "action": "a" });
        assert_eq!(text, serde_json::json!({ "severity": "warning", "findings": [finding] }));
    }
}
