//! Which component answers a path: exact routes, `:parameters` and `/...` wildcards, the most specific first.

use anyhow::{Result, anyhow};
use routefinder::RouteSpec;

use crate::manifest::Trigger;

/// The public routes of an application.
pub struct Router(routefinder::Router<Route>);

/// One public route.
#[derive(Clone)]
pub struct Route {
    /// The component that answers.
    pub component: String,
    /// As the manifest has it.
    pub raw: String,
    /// With a leading and without a trailing slash.
    normal: String,
}

/// What a request's path matched: all that the headers for the component need.
pub struct Match {
    /// The component that answers.
    pub component: String,
    /// The route as the manifest has it.
    pub raw_route: String,
    /// The route with a leading and without a trailing slash.
    pub route: String,
    /// What `/...` stood for.
    pub trailing: String,
    /// What each `:parameter` stood for.
    pub parameters: Vec<(String, String)>,
}

impl Router {
    /// Builds the router; of two triggers with the same route the later one wins, as in Spin.
    pub fn new(triggers: &[Trigger]) -> Result<Self> {
        let mut router = routefinder::Router::new();
        for (index, trigger) in triggers.iter().enumerate() {
            let Some(raw) = &trigger.route else { continue };
            let replaced = triggers[index + 1..]
                .iter()
                .find(|t| t.route == trigger.route);
            if let Some(other) = replaced {
                tracing::error!(
                    "route {raw} of {} is a duplicate and will never be used, {} has it too",
                    trigger.component,
                    other.component
                );
                continue;
            }
            let normal = normalize(raw);
            let spec = parse(&normal).map_err(|error| {
                anyhow!("route {raw} of component {}: {error}", trigger.component)
            })?;
            let route = Route {
                component: trigger.component.clone(),
                raw: raw.clone(),
                normal,
            };
            // The error of a spec that is parsed already is an impossible one.
            let Ok(()) = router.add(spec, route);
        }
        Ok(Self(router))
    }

    /// The routes with their components, for people.
    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.0.iter().map(|(_, route)| route)
    }

    /// The best match for `path`, if any.
    pub fn find(&self, path: &str) -> Option<Match> {
        let found = self.0.best_match(path)?;
        let captures = found.captures();
        let route = found.handler();
        Some(Match {
            component: route.component.clone(),
            raw_route: route.raw.clone(),
            route: route.normal.clone(),
            trailing: captures
                .wildcard()
                .map_or_else(String::new, |rest| trailing(rest, path)),
            parameters: captures
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }
}

impl Route {
    /// `/path` or `/path (wildcard)`, as Spin lists it.
    pub fn shown(&self) -> String {
        match self.normal.strip_suffix("/...") {
            Some(prefix) => format!("{prefix} (wildcard)"),
            None => self.normal.clone(),
        }
    }
}

impl Match {
    /// The match of a call from another component: as if the component had the route `/...`.
    pub fn between_components(component: &str, path: &str) -> Self {
        Self {
            component: component.to_owned(),
            raw_route: "/...".to_owned(),
            route: "/...".to_owned(),
            trailing: path.to_owned(),
            parameters: Vec::new(),
        }
    }
}

fn normalize(route: &str) -> String {
    let slash = if route.starts_with('/') { "" } else { "/" };
    let route = format!("{slash}{route}");
    route
        .strip_suffix('/')
        .map(ToOwned::to_owned)
        .unwrap_or(route)
}

fn parse(route: &str) -> Result<RouteSpec, String> {
    match route.strip_suffix("/...") {
        Some(prefix) => RouteSpec::try_from(format!("{prefix}/*").as_str()),
        None => RouteSpec::try_from(route),
    }
}

/// The router drops slashes around a wildcard's match; components see them.
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

    fn router(routes: &[(&str, &str)]) -> Router {
        let triggers: Vec<Trigger> = routes
            .iter()
            .map(|(route, component)| Trigger {
                component: component.to_string(),
                route: Some(route.to_string()),
            })
            .collect();
        Router::new(&triggers).expect("right routes")
    }

    #[test]
    fn the_most_specific_route_wins() {
        let router = router(&[
            ("/...", "all"),
            ("/diaries/...", "entries"),
            ("/diaries/stats", "stats"),
            ("/users/:id", "user"),
        ]);
        let find = |path| router.find(path).expect("there is a catch-all");
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
    fn no_route_is_no_match_and_private_ones_are_none() {
        let triggers = [Trigger {
            component: "hidden".to_owned(),
            route: None,
        }];
        let router = Router::new(&triggers).expect("right routes");
        assert!(router.find("/").is_none());
        assert!(router.find("/hidden").is_none());
    }

    #[test]
    fn a_duplicate_replaces_the_earlier_route() {
        let router = router(&[("/a", "first"), ("/a", "second")]);
        assert_eq!(router.find("/a").expect("a match").component, "second");
    }
}
