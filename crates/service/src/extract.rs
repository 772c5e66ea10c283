//! What a route takes out of a request, with problem documents for what can't be read.

use axum::extract::rejection::{JsonRejection, PathRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use boxes_http::ProblemKind;
use http::request::Parts;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Problem;
use crate::by_name::ByName;
use crate::problem::UNEXPECTED_BODY;

/// A body in JSON: taken from a request, or given in an answer.
///
/// As axum's, but what can't be read is a problem document: 415 for another media type, 400 for what is no
/// JSON, 422 for JSON that is no `T`, 413 for too much of it. A struct is read from an object, not from an array.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match axum::Json::<ByName<T>>::from_request(request, state).await {
            Ok(axum::Json(ByName(value))) => Ok(Self(value)),
            Err(rejection) => {
                let detail = rejection.body_text();
                Err(match rejection {
                    JsonRejection::JsonDataError(_) => Problem::new(&UNEXPECTED_BODY, detail),
                    JsonRejection::MissingJsonContentType(_) => {
                        Problem::new(&ProblemKind::UNSUPPORTED_MEDIA_TYPE, detail)
                    }
                    other if other.status() == ProblemKind::BODY_TOO_LARGE.status => {
                        Problem::new(&ProblemKind::BODY_TOO_LARGE, detail)
                    }
                    _ => Problem::new(&ProblemKind::MALFORMED_REQUEST, detail),
                })
            }
        }
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(http::header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

/// Parts of the path, by position or by name.
///
/// As axum's, but what can't be read is a problem document with status 400 that says which part it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection @ PathRejection::FailedToDeserializePathParams(_))
                if rejection.status().is_client_error() =>
            {
                Err(Problem::new(
                    &ProblemKind::MALFORMED_REQUEST,
                    rejection.body_text(),
                ))
            }
            // The route and its handler don't agree on the parts of the path.
            Err(rejection) => Err(Problem::internal(&rejection)),
        }
    }
}
