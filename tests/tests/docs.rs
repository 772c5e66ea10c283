//! What the documentation claims.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails by panicking")]

/// The guide says in how many lines a box is written.
#[test]
fn the_box_in_six_steps_has_the_lines_that_the_guide_says_and_at_most_60() {
    let guide = include_str!("../../boxes/README.md");
    let example = guide
        .split("```rust,no_run\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    let n_lines = example.lines().filter(is_code).count();
    assert!(n_lines <= 60, "{n_lines} lines");
    assert!(
        guide.contains(&format!("in {n_lines} lines")),
        "it has {n_lines} lines"
    );
}
