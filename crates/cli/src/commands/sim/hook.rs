use std::panic::PanicHookInfo;
use std::sync::{Arc, Mutex, PoisonError};

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// While this lives, a panic prints nothing: the simulator reports it as a violation. Where it was is kept.
pub struct Silence {
    before: Option<Hook>,
    place: Arc<Mutex<Option<String>>>,
}

impl Silence {
    pub fn begin() -> Self {
        let before = Some(std::panic::take_hook());
        let place = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&place);
        std::panic::set_hook(Box::new(move |panic| {
            *kept.lock().unwrap_or_else(PoisonError::into_inner) = panic.location().map(ToString::to_string);
        }));
        Self { before, place }
    }

    /// Where the last panic was, if there was one since the last question.
    pub fn last_place(&self) -> Option<String> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Hooks cannot be changed by a thread that panics.
        if let (Some(before), false) = (self.before.take(), std::thread::panicking()) {
            std::panic::set_hook(before);
        }
    }
}
