//! Takes decisions off the front of the fuzzer's bytes. At their end every decision is 0.

/// The bytes that are left.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// Below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit.max(1)
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Small numbers mostly, and the edges of the range.
    pub fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::MAX - u64::from(self.byte()),
            253 => u64::from(self.u16()),
            small => u64::from(small),
        }
    }

    /// So many bytes, or what is left of them.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Changes bytes somewhere, cuts them, or makes them longer.
    pub fn damage(&mut self, bytes: &mut Vec<u8>) {
        let place = usize::from(self.u16());
        let what = self.byte();
        match (what, bytes.len()) {
            (_, 0) | (254, _) => bytes.push(what),
            (255, length) => bytes.truncate(place % length),
            (mask, length) => bytes[place % length] ^= mask,
        }
    }
}
