//! Ids that look like the API's own: random UUIDs, yet the same ones in the same order for the same seed.

/// Makes ids, each once.
#[derive(Debug, Default)]
pub(super) struct Ids {
    seed: u64,
    made: u64,
}

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed: mixed(seed), made: 0 }
    }

    /// The next id.
    pub(super) fn next(&mut self) -> String {
        guid(self.number())
    }

    /// The next number, for what is no id.
    pub(super) fn number(&mut self) -> u64 {
        self.made += 1;
        mixed(self.seed.wrapping_add(self.made))
    }
}

/// A UUID that follows from a number.
pub(super) fn guid(number: u64) -> String {
    let wide = u128::from(number) << 64 | u128::from(mixed(number));
    uuid::Builder::from_random_bytes(wide.to_be_bytes()).into_uuid().to_string()
}

/// Scatters a number over all 64 bits (the finalizer of SplitMix64).
pub(super) fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_ids_and_another_makes_others() {
        let made = |seed| {
            let mut ids = Ids::new(seed);
            [ids.next(), ids.next(), ids.next()]
        };

        let [first, second, _] = made(1);
        assert_ne!(first, second);
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }
}
