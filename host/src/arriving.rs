//! Lets a component see every header of what arrives, `host` included, without letting it send such headers.
//!
//! wasmtime-wasi-http 48 hides from components the headers that they may not set; Spin 4.1 shows
//! them. The hook that decides is told only a name, so headers that arrive are put between two
//! marks: whatever is asked about between them is arriving, and the marks themselves are hidden.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS;

const START: HeaderName = HeaderName::from_static("x-embedded-host-arriving");
const END: HeaderName = HeaderName::from_static("x-embedded-host-arrived");

/// Puts `headers` between the marks.
pub fn mark(headers: HeaderMap) -> HeaderMap {
    let mut marked = HeaderMap::with_capacity(headers.keys_len() + 2);
    marked.insert(START, HeaderValue::from_static(""));
    // Taking a mark out moves the last header into its place: the first mark is replaced by the
    // second, and that by the header before it. So the first header goes there.
    let mut headers = headers.into_iter().peekable();
    let mut first = Vec::new();
    while let Some((name, value)) = headers.next_if(|(name, _)| first.is_empty() || name.is_none())
    {
        first.push((name, value));
    }
    marked.extend(headers);
    marked.extend(first);
    marked.insert(END, HeaderValue::from_static(""));
    marked
}

/// Answers for one instance which headers are forbidden.
#[derive(Default)]
pub struct Forbidden {
    arriving: bool,
}

impl Forbidden {
    /// Whether `name` is to be hidden or refused.
    pub fn is(&mut self, name: &HeaderName) -> bool {
        if name == START || name == END {
            self.arriving = name == START;
            return true;
        }
        !self.arriving && DEFAULT_FORBIDDEN_HEADERS.contains(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ACCEPT, HOST, VIA};

    /// What wasmtime does to headers that arrive.
    fn pass(forbidden: &mut Forbidden, headers: HeaderMap) -> Vec<(String, String)> {
        let mut headers = headers;
        let hidden: Vec<_> = headers
            .keys()
            .filter(|n| forbidden.is(n))
            .cloned()
            .collect();
        for name in hidden {
            headers.remove(name);
        }
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    #[test]
    fn all_that_arrives_is_seen_in_its_order() {
        let mut headers = HeaderMap::new();
        for (name, value) in [(HOST, "a"), (VIA, "b"), (ACCEPT, "c"), (HOST, "d")] {
            headers.append(name, HeaderValue::from_static(value));
        }
        for length in 0..=3 {
            let names: Vec<_> = headers.keys().take(length).cloned().collect();
            let mut part = HeaderMap::new();
            for name in names {
                for value in headers.get_all(&name) {
                    part.append(&name, value.clone());
                }
            }
            let mut forbidden = Forbidden::default();
            let expected: Vec<_> = part
                .iter()
                .map(|(n, v)| (n.to_string(), v.to_str().expect("ASCII").to_owned()))
                .collect();
            assert_eq!(pass(&mut forbidden, mark(part)), expected);
            assert!(forbidden.is(&HOST), "a component may not set it");
        }
    }
}
