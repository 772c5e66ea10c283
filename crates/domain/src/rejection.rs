//! Why a command was refused.

use std::error::Error;
use std::fmt;

/// A command that the domain refused, with the domain's own error in it.
///
/// Every error type of a domain becomes one by `?` or [`From`]. The text is meant for whoever sent the
/// command: it is shown to them. A refused command has emitted nothing.
///
/// ```
/// use boxes_domain::Rejection;
/// #[derive(Debug, PartialEq, thiserror::Error)]
/// #[error("the order is already shipped")]
/// struct AlreadyShipped;
///
/// let rejection = Rejection::from(AlreadyShipped);
/// assert_eq!(rejection.to_string(), "the order is already shipped");
/// assert_eq!(rejection.downcast_ref(), Some(&AlreadyShipped));
/// ```
// Like `anyhow::Error` this is no `std::error::Error` itself: that is what lets `From` take every error.
pub struct Rejection(Box<dyn Error + Send + Sync + 'static>);

impl Rejection {
    /// The domain's own error, if it is a `T`.
    #[must_use]
    pub fn downcast_ref<T: Error + 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }

    /// The domain's own error.
    #[must_use]
    pub fn as_error(&self) -> &(dyn Error + Send + Sync + 'static) {
        self.0.as_ref()
    }
}

impl<T: Error + Send + Sync + 'static> From<T> for Rejection {
    fn from(error: T) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rejection").field(&self.0).finish()
    }
}
