//! The query of a request, of which a resource has to know every parameter.

use std::borrow::Cow;

use url::form_urlencoded;

use crate::{Problem, ProblemKind};

/// A name and its value.
pub(crate) type Parameter<'a> = (Cow<'a, str>, Cow<'a, str>);

/// The parameters of a query, decoded, if the resource has all of them.
///
/// What a resource does not have is refused and not passed over: to a cache each query is another address, and one that
/// is misspelt would be answered as if it were not there.
///
/// # Errors
///
/// 400 `unknown-parameter` with those that there are. A resource without parameters has no query at all.
pub(crate) fn parameters<'a>(
    query: Option<&'a str>,
    known: &[&str],
) -> Result<Vec<Parameter<'a>>, Problem> {
    let query = query.unwrap_or_default();
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    let all_known = pairs.iter().all(|(name, _)| known.contains(&&**name));
    let is_nothing = pairs.is_empty() && !query.is_empty();
    if all_known && !is_nothing {
        return Ok(pairs);
    }
    let detail = match known {
        [] => "this resource has no parameters".to_owned(),
        known => format!("this resource has the parameters {}", known.join(", ")),
    };
    Err(Problem::new(&ProblemKind::UNKNOWN_PARAMETER)
        .with_detail(detail)
        .with_member("parameters", known.to_vec()))
}

/// That the resource has no parameters, and the request names none.
///
/// # Errors
///
/// As [`parameters`].
pub(crate) fn none(query: Option<&str>) -> Result<(), Problem> {
    parameters(query, &[]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(query: &str, known: &[&str]) -> Option<Vec<String>> {
        let pairs = parameters(Some(query), known).ok()?;
        Some(
            pairs
                .into_iter()
                .map(|(name, _)| name.into_owned())
                .collect(),
        )
    }

    #[test]
    fn only_what_a_resource_has_is_taken() {
        assert!(none(None).is_ok() && none(Some("")).is_ok());
        for query in ["x", "after=1", "&", "=", "&&"] {
            assert_eq!(names(query, &[]), None, "{query}");
        }
        let known = ["after", "wait"];
        assert_eq!(names("after=1&wait=2", &known).unwrap(), known);
        assert_eq!(names("%61fter=1", &known).unwrap(), ["after"]);
        for query in ["After=1", "after=1&x=2", "after =1", "&", "after=1&="] {
            assert_eq!(names(query, &known), None, "{query}");
        }
    }
}
