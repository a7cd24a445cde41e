//! Finds the component that answers a path.

use std::collections::HashSet;

use anyhow::{Result, anyhow, ensure};
use routefinder::RouteSpec;

use crate::manifest::{HttpTrigger, Route};

/// The public routes of an application. The most specific route that matches wins.
pub struct Router(routefinder::Router<PublicRoute>);

#[derive(Clone)]
struct PublicRoute {
    component: String,
    /// The route in the manifest.
    raw: String,
    /// With a leading slash and without a trailing one.
    normalized: String,
}

/// A component with the part of a request's path that its route matched.
pub struct RouteMatch {
    /// Id of the component that answers.
    pub component: String,
    /// The route in the manifest.
    pub raw_route: String,
    /// The route with a leading slash and without a trailing one.
    pub route: String,
    /// The part of the path that `/...` matched.
    pub trailing: String,
    /// Each `:parameter` with its value.
    pub parameters: Vec<(String, String)>,
}

impl Router {
    /// Creates a router.
    pub fn new(triggers: &[HttpTrigger]) -> Result<Self> {
        let mut router = routefinder::Router::new();
        let mut routes = HashSet::new();
        for trigger in triggers {
            let Route::Public(raw) = &trigger.route else {
                continue;
            };
            let normalized = format!("/{}", raw.trim_start_matches('/'));
            let normalized = normalized.strip_suffix('/').unwrap_or(&normalized);
            ensure!(
                routes.insert(normalized.to_owned()),
                "two [[trigger.http]] have the route {raw:?}"
            );
            let spec = match normalized.strip_suffix("/...") {
                Some(prefix) => RouteSpec::try_from(format!("{prefix}/*").as_str()),
                None => RouteSpec::try_from(normalized),
            };
            let spec = spec.map_err(|error| {
                anyhow!("route {raw:?} of component {}: {error}", trigger.component)
            })?;
            let route = PublicRoute {
                component: trigger.component.clone(),
                raw: raw.clone(),
                normalized: normalized.to_owned(),
            };
            // Cannot fail: the route is parsed.
            let Ok(()) = router.add(spec, route);
        }
        Ok(Self(router))
    }

    /// Returns each route with its component, as Spin prints them.
    pub fn describe(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|(_, route)| {
            let path = match route.normalized.strip_suffix("/...") {
                Some(prefix) => format!("{prefix} (wildcard)"),
                None => route.normalized.clone(),
            };
            (route.component.as_str(), path)
        })
    }

    /// Returns the best match for `path`.
    pub fn find(&self, path: &str) -> Option<RouteMatch> {
        let found = self.0.best_match(path)?;
        let captures = found.captures();
        let route = found.handler();
        let trailing = captures.wildcard().map(|rest| trailing(rest, path));
        let parameters = captures.iter();
        Some(RouteMatch {
            component: route.component.clone(),
            raw_route: route.raw.clone(),
            route: route.normalized.clone(),
            trailing: trailing.unwrap_or_default(),
            parameters: parameters
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }
}

impl RouteMatch {
    /// Returns the match of a call by another component: of the route `/...`.
    pub fn of_call(component: String, path: &str) -> Self {
        Self {
            component,
            raw_route: "/...".to_owned(),
            route: "/...".to_owned(),
            trailing: path.to_owned(),
            parameters: Vec::new(),
        }
    }
}

/// Restores the slashes around a wildcard's match, which the router removes and Spin shows.
fn trailing(rest: &str, path: &str) -> String {
    match (rest.is_empty(), path.ends_with('/')) {
        (true, false) => String::new(),
        (true, true) => "/".to_owned(),
        (false, false) => format!("/{rest}"),
        (false, true) => format!("/{rest}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&str, &str)]) -> Result<Router> {
        let triggers: Vec<_> = routes
            .iter()
            .map(|(route, component)| HttpTrigger {
                component: component.to_string(),
                route: Route::Public(route.to_string()),
            })
            .collect();
        Router::new(&triggers)
    }

    #[test]
    fn the_most_specific_route_answers() {
        let router = router(&[
            ("/...", "all"),
            ("/diaries/...", "entries"),
            ("/diaries/stats", "stats"),
            ("/users/:id", "user"),
        ])
        .expect("the routes are valid");
        let find = |path| router.find(path).expect("there is a catch-all route");
        assert_eq!(find("/").component, "all");
        assert_eq!(find("/elsewhere").component, "all");
        assert_eq!(find("/diaries").component, "entries");
        assert_eq!(find("/diaries/7/").trailing, "/7/");
        assert_eq!(find("/diaries/stats").component, "stats");
        let user = find("/users/7");
        assert_eq!(user.parameters, [("id".to_owned(), "7".to_owned())]);
        assert_eq!(find("/users/7/more").component, "all");
    }

    #[test]
    fn a_private_route_matches_no_path() {
        let triggers = [HttpTrigger {
            component: "hidden".to_owned(),
            route: Route::Private { private: true },
        }];
        let router = Router::new(&triggers).expect("the routes are valid");
        assert!(router.find("/").is_none());
        assert!(router.find("/hidden").is_none());
    }

    #[test]
    fn rejects_a_route_that_is_used_twice() {
        let error = router(&[("/a", "first"), ("a/", "second")]).err();
        let error = error.expect("the routes are the same").to_string();
        assert_eq!(error, "two [[trigger.http]] have the route \"a/\"");
    }
}
