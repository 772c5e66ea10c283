//! Who may read, and who may command.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boxes_http::ProblemKind;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};

use crate::tokens::Grant;
use crate::{Problem, Scope, Tokens, state};

/// Who sends a request, as far as its token tells: an extension of requests, where tokens are set.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// The client to whom the token was given.
    Known(Arc<Grant>),
    /// It has a token that is none of this service's.
    Stranger,
    /// It has none.
    Anonymous,
}

/// What a request has to be allowed to get through.
#[derive(Debug, Clone)]
pub(crate) enum Needed {
    /// To read this log, or its box if it is the box's own one, or to command its box, depending on the method: GET and
    /// HEAD are reading, all else commanding.
    Of(String),
    /// To see the figures of the service.
    Metrics,
    /// Anything: a token is enough.
    Any,
}

impl Needed {
    fn scope(&self, method: &Method) -> Option<Scope> {
        let reads = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        match self {
            Self::Of(name) if reads => Some(Scope::Read(Some(name.clone()))),
            Self::Of(name) => {
                let name = name.split_once('/').map_or(&**name, |(of_box, _)| of_box);
                Some(Scope::Command(Some(name.to_owned())))
            }
            Self::Metrics => Some(Scope::Metrics),
            Self::Any => None,
        }
    }
}

/// Finds out who sends a request, for those who ask further in.
pub(crate) async fn identify(
    State(state): State<Arc<state::State>>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match presented_token(request.headers()) {
        None => Caller::Anonymous,
        Some(token) => state
            .tokens
            .current()
            .check(token)
            .map_or(Caller::Stranger, |grant| Caller::Known(Arc::clone(grant))),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Lets a request pass whose caller may do what it asks for.
///
/// Without or with an unknown token the answer is 401, with one that is not enough 403, with the scope that is missing.
pub(crate) async fn authorize(
    State(needed): State<Arc<Needed>>,
    request: Request,
    next: Next,
) -> Response {
    let grant = match request.extensions().get::<Caller>() {
        Some(Caller::Known(grant)) => grant,
        Some(Caller::Stranger) => {
            return unauthenticated(
                "the token is not one of this service",
                r#"Bearer realm="boxes", error="invalid_token""#,
            );
        }
        Some(Caller::Anonymous) | None => {
            return unauthenticated(
                "send a token: `Authorization: Bearer …`",
                r#"Bearer realm="boxes""#,
            );
        }
    };
    match needed.scope(request.method()) {
        Some(scope) if !grant.scopes().allow(&scope) => forbidden(grant, &scope),
        _ => next.run(request).await,
    }
}

/// Whether the request shows that its sender may see the figures of the service, where that is asked for at all.
pub(crate) fn may_see_figures(tokens: &Tokens, headers: &HeaderMap) -> bool {
    let grant = presented_token(headers).and_then(|token| tokens.check(token));
    tokens.is_empty() || grant.is_some_and(|grant| grant.scopes().allow(&Scope::Metrics))
}

fn presented_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn unauthenticated(detail: &str, challenge: &'static str) -> Response {
    Problem::new(&ProblemKind::UNAUTHENTICATED, detail)
        .with_challenge(HeaderValue::from_static(challenge))
        .into_response()
}

fn forbidden(grant: &Grant, missing: &Scope) -> Response {
    let detail = format!(
        "the token of `{}` allows {}, and this needs {missing}",
        grant.client(),
        grant.scopes()
    );
    let challenge =
        format!(r#"Bearer realm="boxes", error="insufficient_scope", scope="{missing}""#);
    let problem =
        Problem::new(&ProblemKind::FORBIDDEN, detail).with_member("scope", missing.to_string());
    // The names of boxes are plain, so it always is a header.
    match HeaderValue::try_from(challenge) {
        Ok(challenge) => problem.with_challenge(challenge).into_response(),
        Err(_) => problem.into_response(),
    }
}
