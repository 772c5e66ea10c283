//! Changes of inputs, the same in each run.

use fastrand::Rng;

/// The longest input that is made, in bytes.
const MAX_BYTES: usize = 4_096;
/// How many changes are made to one input, at most.
const MAX_CHANGES: usize = 6;

/// Endless inputs that are made from those that are kept, by what changes of this kind usually find something: bits,
/// bytes, pieces left out, doubled or taken from another input, words, and numbers at their borders.
#[derive(Debug)]
pub struct Mutations<'a> {
    inputs: &'a [Vec<u8>],
    words: &'a [&'a str],
    random: Rng,
}

/// Numbers at which programs count wrongly.
const NUMBERS: [&str; 8] = [
    "0",
    "1",
    "-1",
    "20",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
];

impl<'a> Mutations<'a> {
    /// Of these inputs, with these words; the same for the same seed.
    #[must_use]
    pub fn of(inputs: &'a [Vec<u8>], words: &'a [&'a str], seed: u64) -> Self {
        Self {
            inputs,
            words,
            random: Rng::with_seed(seed),
        }
    }

    /// Makes one change.
    pub fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.random.usize(0..=input.len());
        let length = self.random.usize(0..=(input.len() - at).min(32));
        match self.random.u8(0..8) {
            0 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << self.random.u8(0..8);
                }
            }
            1 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = self.random.u8(..);
                }
            }
            2 => drop(input.drain(at..at + length)),
            3 => {
                let piece = input[at..at + length].to_vec();
                insert(input, at, &piece);
            }
            4 => {
                let other = self.random.choice(self.inputs).cloned().unwrap_or_default();
                let from = self.random.usize(0..=other.len());
                let to = self.random.usize(from..=other.len());
                insert(input, at, &other[from..to]);
            }
            5 => {
                let number = self.random.choice(NUMBERS).unwrap_or_default();
                replace_digits(input, at, number.as_bytes());
            }
            _ => {
                let word = self.random.choice(self.words).copied().unwrap_or_default();
                insert(input, at, word.as_bytes());
            }
        }
    }
}

impl Iterator for Mutations<'_> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut input = self.random.choice(self.inputs).cloned().unwrap_or_default();
        for _ in 0..self.random.usize(1..=MAX_CHANGES) {
            self.change(&mut input);
        }
        input.truncate(MAX_BYTES);
        Some(input)
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}

/// Puts a number in the place of the digits that come next.
fn replace_digits(input: &mut Vec<u8>, at: usize, number: &[u8]) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let start = input[at..].iter().position(is_digit);
    let start = start.map_or(at, |start| at + start);
    let length = input[start..]
        .iter()
        .take_while(|byte| is_digit(byte))
        .count();
    drop(input.splice(start..start + length, number.iter().copied()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_another_one_others() {
        let inputs = [b"GET /1,20".to_vec(), b"GET /".to_vec()];
        let made = |seed| {
            Mutations::of(&inputs, &["accept"], seed)
                .take(100)
                .collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(1).iter().any(|input| !inputs.contains(input)));
    }
}
