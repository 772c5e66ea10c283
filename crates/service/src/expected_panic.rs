//! Panics that are asked for, and are no news to anyone.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

static HOOK: Once = Once::new();

thread_local! {
    static IS_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` returns, or what it panicked with, which nobody is told of: axum says by a panic that two routes are the
/// same, and has no other way to ask. Panics of other threads are reported meanwhile, as ever.
pub(crate) fn or_panic<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    HOOK.call_once(|| {
        let report = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_EXPECTED.get() {
                report(panic);
            }
        }));
    });
    let before = IS_EXPECTED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    IS_EXPECTED.set(before);
    done
}

/// What a panic says, if that is a text.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> Option<&str> {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_returned_is_given_and_a_panic_is_one_afterwards_as_before() {
        assert_eq!(or_panic(|| 7).unwrap(), 7);
        let panic = or_panic(|| panic!("expected")).unwrap_err();
        assert_eq!(panic.downcast_ref(), Some(&"expected"));
        assert!(!IS_EXPECTED.get());
    }
}
