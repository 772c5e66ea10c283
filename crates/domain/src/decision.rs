//! What a command may return.

use crate::{Event, Rejection};

/// What a command decided: one event, none, several, or a refusal.
///
/// A command is a method that returns any of these; the application takes them all:
///
/// | the command returns | meaning |
/// |---|---|
/// | `E` | this happened |
/// | `Option<E>` | this happened, or nothing had to |
/// | `Vec<E>`, `[E; N]` | these happened, in this order |
/// | `()` | nothing happened |
/// | `Result<any of these, R>` | or it was refused; `R` is the domain's own error type |
pub trait Decision<E: Event> {
    /// The events, in the order in which they happened.
    ///
    /// # Errors
    ///
    /// The [`Rejection`], if the command was refused.
    fn into_events(self) -> Result<Vec<E>, Rejection>;
}

impl<E: Event> Decision<E> for E {
    fn into_events(self) -> Result<Vec<Self>, Rejection> {
        Ok(vec![self])
    }
}

impl<E: Event> Decision<E> for () {
    fn into_events(self) -> Result<Vec<E>, Rejection> {
        Ok(Vec::new())
    }
}

impl<E: Event> Decision<E> for Option<E> {
    fn into_events(self) -> Result<Vec<E>, Rejection> {
        Ok(self.into_iter().collect())
    }
}

impl<E: Event> Decision<E> for Vec<E> {
    fn into_events(self) -> Result<Self, Rejection> {
        Ok(self)
    }
}

impl<E: Event, const N: usize> Decision<E> for [E; N] {
    fn into_events(self) -> Result<Vec<E>, Rejection> {
        Ok(self.into())
    }
}

impl<E: Event, D: Decision<E>, R: Into<Rejection>> Decision<E> for Result<D, R> {
    fn into_events(self) -> Result<Vec<E>, Rejection> {
        self.map_err(Into::into)?.into_events()
    }
}
