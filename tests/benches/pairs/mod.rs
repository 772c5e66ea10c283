//! Two things measured in turn, on one machine in one run: the machine's mood is in both.

/// Pairs of measurements, of which the median counts, after one that warms both sides up.
pub(crate) const ROUNDS: usize = 5;

/// Runs both sides in turn. Returns the medians of one, of the other, and of their ratio.
pub(crate) async fn pairs(
    mut one: impl AsyncFnMut() -> f64,
    mut other: impl AsyncFnMut() -> f64,
) -> [f64; 3] {
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let (one, other) = (one().await, other().await);
        if round > 0 {
            rounds.push([one, other, one / other]);
        }
    }
    [0, 1, 2].map(|column| {
        let mut values: Vec<_> = rounds.iter().map(|round| round[column]).collect();
        values.sort_by(f64::total_cmp);
        values[ROUNDS / 2]
    })
}
