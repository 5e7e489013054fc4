//! How much memory an act takes: what comes from outside must not choose it.

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Runs the act, which may have no more than so many bytes allocated at once. One act at a time in a process.
pub fn within<R>(bytes: usize, act: impl FnOnce() -> R) -> R {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let result = act();
    let used = ALLOCATOR.peak_usage().saturating_sub(before);
    assert!(used <= bytes, "{used} bytes allocated where {bytes} are enough");
    result
}
