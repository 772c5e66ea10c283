//! What is answered to a request whose head can't be read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use boxes_http::{PROBLEM_JSON, Problem, ProblemKind};
use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The answers that the HTTP library gives by itself, before any route is asked: each with its kind, and what it means.
const OWN: [(&str, &ProblemKind, &str); 3] = [
    (
        "HTTP/1.1 400 ",
        &ProblemKind::MALFORMED_REQUEST,
        "the request is no HTTP",
    ),
    (
        "HTTP/1.1 414 ",
        &ProblemKind::URI_TOO_LONG,
        "the address is too long",
    ),
    (
        "HTTP/1.1 431 ",
        &ProblemKind::HEAD_TOO_LARGE,
        "the request's headers are too large",
    ),
];

/// The header that tells them from the answers of routes: those have a body that says what is wrong.
const NO_BODY: &str = "content-length: 0\r\n";

/// A connection on which the answers of the HTTP library to a head that can't be read are problem documents, like all others.
///
/// The library has no place where they could be made: so they are recognized by what is written. Each is written as a whole, is the
/// last thing on its connection, and has no body and no media type, which no error of a route lacks.
#[derive(Debug)]
pub(crate) struct WithProblems<S> {
    stream: S,
    /// What is written in the place of such an answer.
    instead: Bytes,
}

impl<S> WithProblems<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self {
            stream,
            instead: Bytes::new(),
        }
    }
}

/// The answer with a problem document, if these bytes are one that has none.
fn with_problem(written: &[u8]) -> Option<Bytes> {
    let (_, kind, detail) = OWN
        .iter()
        .find(|(beginning, _, _)| written.starts_with(beginning.as_bytes()))?;
    let head = std::str::from_utf8(written).ok()?;
    let is_own = head.ends_with("\r\n\r\n") && !head.contains("content-type");
    let (before, after) = head.split_once(NO_BODY).filter(|_| is_own)?;
    let body = Problem::new(kind)
        .with_detail(*detail)
        .document()
        .to_string();
    let length = body.len();
    let headers = format!(
        "content-type: {PROBLEM_JSON}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\ncontent-length: {length}\r\n"
    );
    Some(format!("{before}{headers}{after}{body}").into())
}

impl<S: AsyncRead + Unpin> AsyncRead for WithProblems<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithProblems<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.instead.is_empty() {
            match with_problem(bytes) {
                Some(answer) => self.instead = answer,
                None => return Pin::new(&mut self.stream).poll_write(context, bytes),
            }
        }
        while !self.instead.is_empty() {
            let this = &mut *self;
            let written = ready!(Pin::new(&mut this.stream).poll_write(context, &this.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            this.instead.advance(written);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let whole = match slices {
            [only] => Some(&**only),
            _ => None,
        };
        if let Some(bytes) = whole
            && (!self.instead.is_empty() || with_problem(bytes).is_some())
        {
            return self.poll_write(context, bytes);
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_no_body_of_its_own_is_given_one() {
        let own = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n";
        let answer = with_problem(own).unwrap();
        let answer = std::str::from_utf8(&answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("connection: close") && head.contains("date: x"));
        assert!(head.contains(&format!("content-length: {}", body.len())));
        assert!(body.contains("/problems/head-too-large"));
        for other in [
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-type: x\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nabc",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
        ] {
            assert!(with_problem(other.as_bytes()).is_none(), "{other}");
        }
    }
}
