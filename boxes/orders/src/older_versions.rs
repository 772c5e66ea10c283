//! Steps from older versions of this box's events to the next.

use serde_json::{Value, json};

/// Version 1 of `orders.order.cancelled` told why in a sentence, which nobody could count with: its `reason` was
/// "the payment of 20038 cents was declined".
pub(crate) fn cancelled_v1_to_v2(state: Value) -> Value {
    let reason = state.get("reason").and_then(Value::as_str);
    let cents = reason
        .and_then(|reason| reason.strip_prefix("the payment of "))
        .and_then(|reason| reason.strip_suffix(" cents was declined"))
        .and_then(|cents| cents.parse::<u64>().ok());
    match cents {
        Some(cents) => json!({ "declined_cents": cents }),
        // As it is: then it is an error that names topic and version.
        None => state,
    }
}
