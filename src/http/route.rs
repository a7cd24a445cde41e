//! The route table: which handler a method and a path lead to.

use std::pin::Pin;

use http::Method;

use super::request::{FromRequest, Request};
use crate::{error::Error, response::Response};

/// A function that extracts a handler's parameters and calls the handler.
type HandlerFn = fn(&mut Request) -> Pin<Box<dyn Future<Output = Result<Response, Error>> + '_>>;

/// One row of a component's route table.
pub struct Route {
    /// `GET` also handles HEAD: the host removes the body.
    pub method: Method,
    /// A path such as `/diaries/{id}`. A segment in braces matches any segment
    /// that is not empty; a pattern has at most one.
    pub pattern: &'static str,
    /// Extracts the parameters and calls the handler.
    pub handler: HandlerFn,
}

/// An async function whose parameters all implement [`FromRequest`].
pub trait Handler<Parameters> {
    /// Extracts the parameters in order and calls the function. The first
    /// parameter that fails decides the error.
    #[expect(async_fn_in_trait, reason = "components have one thread")]
    async fn call(&self, request: &mut Request) -> Result<Response, Error>;
}

macro_rules! impl_handler {
    ($($parameter:ident),*) => {
        impl<F, $($parameter),*> Handler<($($parameter,)*)> for F
        where
            F: AsyncFn($($parameter),*) -> Result<Response, Error>,
            $($parameter: FromRequest,)*
        {
            #[allow(non_snake_case, unused_variables)]
            async fn call(&self, request: &mut Request) -> Result<Response, Error> {
                $(let $parameter = $parameter::from_request(request).await?;)*
                self($($parameter),*).await
            }
        }
    };
}

impl_handler!();
impl_handler!(A);
impl_handler!(A, B);
impl_handler!(A, B, C);
impl_handler!(A, B, C, D);
impl_handler!(A, B, C, D, E);
impl_handler!(A, B, C, D, E, G);

/// The handler of a matching route, or the value of `Allow` if the pattern has no route for the method.
pub(super) type Found = Result<HandlerFn, String>;

/// Finds the pattern that matches `path`, and its handler for `method`.
///
/// # Errors
/// `not_found` when no pattern matches.
pub(super) fn find(
    routes: &'static [Route],
    method: &Method,
    path: &str,
) -> Result<(&'static str, Found), Error> {
    let pattern = routes
        .iter()
        .map(|route| route.pattern)
        .find(|pattern| matches(pattern, path))
        .ok_or(Error::NotFound)?;
    let mut siblings = routes.iter().filter(|route| route.pattern == pattern);
    let found = match siblings.clone().find(|route| route.method == *method) {
        Some(route) => Ok(route.handler),
        None => Err(allow(&mut siblings)),
    };
    Ok((pattern, found))
}

fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    pattern.split('/').all(|expected| {
        segments
            .next()
            .is_some_and(|segment| match is_parameter(expected) {
                true => !segment.is_empty(),
                false => segment == expected,
            })
    }) && segments.next().is_none()
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

/// Returns the segment of `path` that stands where `pattern` has a segment in braces.
///
/// Returns an empty string if the pattern has no such segment.
pub(super) fn parameter<'a>(pattern: &str, path: &'a str) -> &'a str {
    let mut segments = pattern.split('/').zip(path.split('/'));
    let found = segments.find(|(expected, _)| is_parameter(expected));
    found.map(|(_, segment)| segment).unwrap_or_default()
}

fn allow<'a>(routes: &mut impl Iterator<Item = &'a Route>) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for route in routes {
        methods.push(route.method.as_str());
        if route.method == Method::GET {
            methods.push("HEAD");
        }
    }
    methods.push("OPTIONS");
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: Method, pattern: &'static str) -> Route {
        Route {
            method,
            pattern,
            handler: |_| Box::pin(async { Err(Error::NotFound) }),
        }
    }

    fn find_in_table(method: Method, path: &str) -> Result<(&'static str, Option<String>), Error> {
        static ROUTES: std::sync::LazyLock<Vec<Route>> = std::sync::LazyLock::new(|| {
            vec![
                route(Method::GET, "/diaries"),
                route(Method::POST, "/diaries"),
                route(Method::GET, "/diaries/stats"),
                route(Method::GET, "/diaries/{id}"),
                route(Method::POST, "/diaries/{id}/analyze"),
            ]
        });
        find(&ROUTES, &method, path).map(|(pattern, found)| (pattern, found.err()))
    }

    #[test]
    fn finds_the_first_matching_pattern() {
        for (path, pattern) in [
            ("/diaries", "/diaries"),
            ("/diaries/stats", "/diaries/stats"),
            ("/diaries/7", "/diaries/{id}"),
        ] {
            assert_eq!(find_in_table(Method::GET, path), Ok((pattern, None)));
        }
    }

    #[test]
    fn does_not_match_other_paths() {
        for path in ["", "/", "/diaries/", "/diaries/7/", "/diaries/7/x", "/x"] {
            assert_eq!(
                find_in_table(Method::GET, path),
                Err(Error::NotFound),
                "{path}"
            );
        }
    }

    #[test]
    fn lists_the_methods_of_the_pattern_in_allow() {
        let allow = |path| find_in_table(Method::DELETE, path).map(|(_, allow)| allow);
        assert_eq!(
            allow("/diaries"),
            Ok(Some("GET, HEAD, POST, OPTIONS".into()))
        );
        assert_eq!(
            allow("/diaries/stats"),
            Ok(Some("GET, HEAD, OPTIONS".into()))
        );
        assert_eq!(
            allow("/diaries/7/analyze"),
            Ok(Some("POST, OPTIONS".into()))
        );
    }

    #[test]
    fn returns_the_segment_of_a_parameter() {
        assert_eq!(
            parameter("/diaries/{id}/analyze", "/diaries/7/analyze"),
            "7"
        );
        assert_eq!(parameter("/diaries", "/diaries"), "");
    }
}
