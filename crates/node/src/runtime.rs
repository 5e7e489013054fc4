use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Builder, Runtime};

/// The runtime that a replica's network runs on, with threads named `pbft-net-N`. One for every two processors: what a frame
/// costs beyond its copy, decoding and signatures, is not done here, and every further thread is one more to be woken.
pub fn runtime() -> io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let count = AtomicUsize::new(0);
    let name = move || format!("pbft-net-{}", count.fetch_add(1, Ordering::Relaxed));
    Builder::new_multi_thread().worker_threads(processors.div_ceil(2)).enable_all().thread_name_fn(name).build()
}
