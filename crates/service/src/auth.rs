//! Who may read, and who may command.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boxes_http::ProblemKind;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Method};

use crate::{Access, Problem, Tokens};

/// Lets a request pass whose token allows what it asks for: GET and HEAD are reading, all else commanding.
///
/// Without or with an unknown token the answer is 401, with one that is not enough 403.
pub(crate) async fn authorize(
    State(tokens): State<Tokens>,
    request: Request,
    next: Next,
) -> Response {
    let reads = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    let presented = presented_token(request.headers());
    match presented.and_then(|token| tokens.check(token)) {
        Some(Access::Command) => next.run(request).await,
        Some(Access::Read) if reads => next.run(request).await,
        Some(Access::Read) => refuse(
            &ProblemKind::FORBIDDEN,
            "the token may only read",
            r#"Bearer realm="boxes", error="insufficient_scope""#,
        ),
        None if presented.is_some() => refuse(
            &ProblemKind::UNAUTHENTICATED,
            "the token is not one of this service",
            r#"Bearer realm="boxes", error="invalid_token""#,
        ),
        None => refuse(
            &ProblemKind::UNAUTHENTICATED,
            "send a token: `Authorization: Bearer …`",
            r#"Bearer realm="boxes""#,
        ),
    }
}

/// Whether the request shows that its sender may read, where that is asked for at all.
pub(crate) fn may_read(tokens: &Tokens, headers: &HeaderMap) -> bool {
    tokens.is_empty() || presented_token(headers).is_some_and(|token| tokens.check(token).is_some())
}

fn presented_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn refuse(kind: &ProblemKind, detail: &str, challenge: &'static str) -> Response {
    Problem::new(kind, detail)
        .with_challenge(challenge)
        .into_response()
}
