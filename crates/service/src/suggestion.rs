//! The name that was probably meant.

/// How alike two names have to be, from 0 to 1: `order` and `orders` are, `payments` and `shipping` are not.
const ALIKE: f64 = 0.8;

/// ` (did you mean …?)` with the name among `known` that is most like `name`, or nothing if none is.
pub(crate) fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let name = name.to_lowercase();
    let alike = known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(&name, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    alike.map_or_else(String::new, |(_, known)| {
        format!(" (did you mean `{known}`?)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_is_most_alike_is_suggested_if_any_is() {
        let known = ["orders", "payments", "shipping", "inventory"];
        for (name, expected) in [
            ("order", " (did you mean `orders`?)"),
            ("Orders", " (did you mean `orders`?)"),
            ("paymnets", " (did you mean `payments`?)"),
            ("billing", ""),
            ("", ""),
        ] {
            assert_eq!(did_you_mean(name, known), expected, "{name}");
        }
    }
}
