//! Who may read, and who may command.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use boxes_http::ProblemKind;
use futures::StreamExt as _;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method};
use tokio::sync::watch;

use crate::tokens::Grant;
use crate::{Problem, Scope, Token, Tokens, state};

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

/// The token that a request shows, and the tokens that are accepted while it is answered.
#[derive(Debug, Clone)]
struct Presented {
    token: Arc<Token>,
    tokens: watch::Receiver<Arc<Tokens>>,
}

impl Presented {
    fn caller(&mut self) -> Caller {
        let tokens = Arc::clone(&self.tokens.borrow_and_update());
        tokens
            .check(self.token.expose())
            .map_or(Caller::Stranger, |grant| Caller::Known(Arc::clone(grant)))
    }

    /// Waits until the token does not allow `scope` any more, and returns the answer to that.
    async fn revoked(mut self, scope: Option<Scope>) -> Response {
        loop {
            if self.tokens.changed().await.is_err() {
                return std::future::pending().await;
            }
            if let Some(refusal) = refusal(&self.caller(), scope.as_ref()) {
                return refusal;
            }
        }
    }
}

/// Finds out who sends a request, for those who ask further in.
pub(crate) async fn identify(
    State(state): State<Arc<state::State>>,
    mut request: Request,
    next: Next,
) -> Response {
    if request.headers().get_all(AUTHORIZATION).iter().count() > 1 {
        return Problem::bad_request("there are several Authorization headers: send one")
            .into_response();
    }
    let caller = match presented_token(request.headers()).map(Token::new) {
        None => Caller::Anonymous,
        Some(Err(_)) => Caller::Stranger,
        Some(Ok(token)) => {
            let mut presented = Presented {
                token: Arc::new(token),
                tokens: state.tokens.subscribe(),
            };
            let caller = presented.caller();
            request.extensions_mut().insert(presented);
            caller
        }
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Lets a request pass whose caller may do what it asks for.
///
/// Without or with an unknown token the answer is 401, with one that is not enough 403, with the scope that is missing. What
/// is read is given only as long as the token counts: one that is revoked ends a wait and a stream at once. A command that
/// has begun is finished.
pub(crate) async fn authorize(
    State(needed): State<Arc<Needed>>,
    request: Request,
    next: Next,
) -> Response {
    let scope = needed.scope(request.method());
    let caller = request.extensions().get::<Caller>();
    if let Some(refusal) = refusal(caller.unwrap_or(&Caller::Anonymous), scope.as_ref()) {
        return refusal;
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let presented = request.extensions().get::<Presented>().filter(|_| reads);
    let Some(presented) = presented.cloned() else {
        return next.run(request).await;
    };
    let mut revoked = Box::pin(presented.revoked(scope));
    let response = tokio::select! {
        biased;
        response = next.run(request) => response,
        refusal = &mut revoked => return refusal,
    };
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = body.into_data_stream().take_until(revoked);
    Response::from_parts(parts, Body::from_stream(body))
}

/// Why the caller may not do what needs `scope`, if it may not.
fn refusal(caller: &Caller, scope: Option<&Scope>) -> Option<Response> {
    let grant = match caller {
        Caller::Known(grant) => grant,
        Caller::Stranger => {
            return Some(unauthenticated(
                "the token is not one of this service",
                r#"Bearer realm="boxes", error="invalid_token""#,
            ));
        }
        Caller::Anonymous => {
            return Some(unauthenticated(
                "send a token: `Authorization: Bearer …`",
                r#"Bearer realm="boxes""#,
            ));
        }
    };
    let missing = scope.filter(|scope| !grant.scopes().allow(scope))?;
    Some(forbidden(grant, missing))
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
