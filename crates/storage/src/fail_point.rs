//! Places where a process that was built with `--cfg pbft_fail_points` kills itself, or has its disk fail, so that tests see
//! what a restart makes of it (R15). Any other build holds none of this.
//!
//! `PBFT_FAIL_POINT` is "OPERATION SUBJECT VISIT" or "OPERATION SUBJECT VISIT error": the beginning of the subject, and the
//! number of the visit, counted from 1.

/// The process ends here, as if killed, if it is due after this operation.
#[cfg(pbft_fail_points)]
pub fn fail_point(operation: &str, subject: &str) {
    if due::is_due(operation, subject, false) {
        std::process::abort();
    }
}

/// An error, as of a broken disk, if this operation is to fail: then it is not to be done.
#[cfg(pbft_fail_points)]
pub fn fault(operation: &str, subject: &str) -> std::io::Result<()> {
    const EIO: i32 = 5;
    if due::is_due(operation, subject, true) { Err(std::io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
}

/// Nothing, in a build without `--cfg pbft_fail_points`.
#[cfg(not(pbft_fail_points))]
pub const fn fail_point(_operation: &str, _subject: &str) {}

/// Nothing, in a build without `--cfg pbft_fail_points`.
#[cfg(not(pbft_fail_points))]
pub const fn fault(_operation: &str, _subject: &str) -> std::io::Result<()> {
    Ok(())
}

#[cfg(pbft_fail_points)]
mod due {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Due {
        operation: String,
        subject: String,
        visit: u64,
        is_error: bool,
    }

    pub fn is_due(operation: &str, subject: &str, is_error: bool) -> bool {
        static DUE: OnceLock<Option<Due>> = OnceLock::new();
        static VISITS: AtomicU64 = AtomicU64::new(0);
        let Some(due) = DUE.get_or_init(read) else { return false };
        let is_here = due.is_error == is_error && due.operation == operation && subject.starts_with(&due.subject);
        is_here && VISITS.fetch_add(1, Ordering::Relaxed).saturating_add(1) == due.visit
    }

    fn read() -> Option<Due> {
        let text = std::env::var("PBFT_FAIL_POINT").ok()?;
        let mut words = text.split_whitespace().map(str::to_owned);
        let (operation, subject, visit) = (words.next()?, words.next()?, words.next()?.parse().ok()?);
        Some(Due { operation, subject, visit, is_error: words.next().as_deref() == Some("error") })
    }
}
