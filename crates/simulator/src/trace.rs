use std::time::Duration;

/// What happened, as a hash that two runs of one seed must share, and in words if somebody wants to read it.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    events: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(in_words: bool) -> Self {
        Self { hash: 0xCBF2_9CE4_8422_2325, events: 0, lines: in_words.then(Vec::new) }
    }

    /// An event, told apart from others by these numbers and bytes.
    pub fn event(&mut self, now: Duration, numbers: [u64; 3], bytes: &[u8], line: impl FnOnce() -> String) {
        self.events += 1;
        for number in [now.as_micros() as u64, bytes.len() as u64].into_iter().chain(numbers) {
            self.mix(number);
        }
        let (words, rest) = bytes.as_chunks();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        for word in words.iter().chain([&last]) {
            self.mix(u64::from_le_bytes(*word));
        }
        self.say(now, line);
    }

    /// A remark that is part of no hash.
    pub fn say(&mut self, now: Duration, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>10.3} ms  {}", now.as_secs_f64() * 1000.0, line()));
        }
    }

    pub const fn events(&self) -> u64 {
        self.events
    }

    pub const fn hash(&self) -> u64 {
        self.hash
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }

    fn mix(&mut self, number: u64) {
        self.hash = (self.hash ^ number).wrapping_mul(0x0000_0100_0000_01B3).rotate_left(23);
    }
}
