//! Routes together with what is said of them.

use std::fmt;

use axum::Router;
use axum::handler::Handler;

use crate::{OpenApiPart, Reading};

/// Routes with what is said of them to programs: there is none of which nothing is said.
///
/// A route is added with its description by [`read`](Self::read); a server takes both out again at the end, by
/// [`into_parts`](Self::into_parts), and puts the description at a path of its own.
///
/// ```
/// use axum::Router;
/// use boxes_http::{DescribedRoutes, Reading};
/// use serde_json::json;
///
/// let hours = Reading::new("getOpeningHours", "When the library is open").gives("text/plain", json!({"type": "string"}));
/// let routes = DescribedRoutes::new().read("/library/hours", hours, async || "from 9 to 5");
/// let (router, described): (Router, _) = routes.into_parts();
/// assert_eq!(described.paths().collect::<Vec<_>>(), ["/library/hours"]);
/// # drop(router);
/// ```
#[derive(Clone)]
#[must_use]
pub struct DescribedRoutes<S = ()> {
    router: Router<S>,
    described: OpenApiPart,
}

impl<S: Clone + Send + Sync + 'static> DescribedRoutes<S> {
    /// No route.
    pub fn new() -> Self {
        Self::of(Router::new(), OpenApiPart::new())
    }

    /// Routes and their description that are made from one table.
    pub(crate) const fn of(router: Router<S>, described: OpenApiPart) -> Self {
        Self { router, described }
    }

    /// With a resource that is read at `path`, whose parameters are described by `reading`. `handler` answers GET; the other
    /// methods are those of [`Reading::methods`].
    ///
    /// # Panics
    ///
    /// If there is a route at `path` already, as [`Router::route`].
    pub fn read<H, T>(self, path: &str, reading: Reading, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        self.read_as(path, path, reading, handler)
    }

    /// The same where the router has one parameter for what programs are told are several: `/{page}` for `/{low},{high}`.
    ///
    /// # Panics
    ///
    /// If there is a route at `route` already, as [`Router::route`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "what is said of a route is said once"
    )]
    pub fn read_as<H, T>(self, route: &str, path: &str, reading: Reading, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        Self {
            router: self.router.route(route, Reading::methods(handler)),
            described: self.described.with_path(path, reading.path_item()),
        }
    }

    /// Both. A resource that both have is the mistake of a program.
    ///
    /// # Panics
    ///
    /// If two routes are the same, as [`Router::merge`].
    pub fn and(self, other: Self) -> Self {
        Self {
            router: self.router.merge(other.router),
            described: self.described.and(other.described),
        }
    }

    /// The same, with this state for those of its handlers that ask for it.
    pub fn with_state<S2>(self, state: S) -> DescribedRoutes<S2> {
        DescribedRoutes {
            router: self.router.with_state(state),
            described: self.described,
        }
    }

    /// The same, with what is said of all of it changed: which tag it has, what it may be answered with besides.
    pub fn described_as(self, change: impl FnOnce(OpenApiPart) -> OpenApiPart) -> Self {
        Self {
            router: self.router,
            described: change(self.described),
        }
    }

    /// What is said of the routes.
    #[must_use]
    pub const fn description(&self) -> &OpenApiPart {
        &self.described
    }

    /// The routes, and what is said of them.
    pub fn into_parts(self) -> (Router<S>, OpenApiPart) {
        (self.router, self.described)
    }
}

impl<S: Clone + Send + Sync + 'static> Default for DescribedRoutes<S> {
    fn default() -> Self {
        Self::new()
    }
}

// Written out: a router has much to print, and none of it helps.
impl<S> fmt::Debug for DescribedRoutes<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.described.paths()).finish()
    }
}
