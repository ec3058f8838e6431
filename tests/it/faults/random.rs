//! Choices that a seed repeats.

/// A generator of choices (splitmix64).
pub(super) struct Random(u64);

impl Random {
    /// Begins with the seed of the environment, or with one that nobody chose; tells which.
    pub(super) fn begin(name: &str) -> Self {
        let seed = std::env::var("TIDINGS_FAULT_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = seed.unwrap_or_else(|| uuid::Uuid::now_v7().as_u64_pair().1);
        println!("{name}: TIDINGS_FAULT_SEED={seed}");
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end
    }

    /// One of these.
    pub(super) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// How long the program goes on: `short` seconds unless the environment says otherwise.
pub(super) fn duration(short: usize) -> std::time::Duration {
    std::time::Duration::from_secs(number("TIDINGS_FAULT_SECONDS", short).try_into().unwrap())
}

/// A number of the environment.
pub(super) fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(otherwise)
}
