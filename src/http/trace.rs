//! The trace that a request belongs to (W3C Trace Context).

use http::{HeaderMap, HeaderName};

/// Header of clients, proxies and Spin.
pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Header of calls between components. Spin replaces `traceparent` on outbound requests while it
/// exports traces, and its new trace has no connection to the client's.
pub const X_TRACEPARENT: HeaderName = HeaderName::from_static("x-traceparent");

/// A valid value of `traceparent`.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceParent(String);

impl TraceParent {
    /// Returns the trace in a header. `None` unless there is exactly one and it is valid: the standard requires that
    /// others are ignored.
    pub(super) fn from_header(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return None;
        };
        Self::parse(value.to_str().ok()?)
    }

    /// Parses `version-traceid-parentid-flags`. Later versions may append fields.
    fn parse(value: &str) -> Option<Self> {
        let mut fields = value.split('-');
        let version = fields.next().filter(|field| is_hex(field, 2))?;
        let has_ids = [32, 16].into_iter().all(|digits| {
            let id = fields.next().unwrap_or_default();
            is_hex(id, digits) && id.bytes().any(|digit| digit != b'0')
        });
        let has_flags = fields.next().is_some_and(|field| is_hex(field, 2));
        let has_valid_end = fields.next().is_none() || version != "00";
        let is_valid = version != "ff" && has_ids && has_flags && has_valid_end;
        (is_valid && value.len() <= MAX_LENGTH).then(|| Self(value.to_owned()))
    }

    /// Returns the id of the trace: 32 hexadecimal digits.
    pub fn trace_id(&self) -> &str {
        self.0.split('-').nth(1).unwrap_or_default()
    }

    /// Returns the header's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Maximum length of a value. Version 00 has 55 bytes.
const MAX_LENGTH: usize = 256;

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn returns_the_trace_id_of_a_valid_header() {
        for value in [
            VALID.to_owned(),
            format!("{}00", &VALID[..53]),
            VALID.replacen("00-", "cc-", 1),
            VALID.replacen("00-", "cc-", 1) + "-what-the-future-brings",
        ] {
            let parsed = TraceParent::parse(&value).expect("valid");
            assert_eq!((parsed.trace_id(), parsed.as_str()), (ID, &*value));
        }
    }

    #[test]
    fn ignores_an_invalid_header() {
        for invalid in [
            "",
            ID,
            &VALID.to_uppercase(),
            &VALID.replace(ID, &"0".repeat(32)),
            &VALID.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &VALID.replace(ID, &ID[1..]),
            &VALID.replace(ID, &format!("{}g", &ID[1..])),
            &VALID.replacen("00-", "ff-", 1),
            &VALID[..VALID.len() - 3],
            &format!("{VALID}-more"),
            &format!("{VALID}0"),
            &format!("cc{}-{}", &VALID[2..], "x".repeat(300)),
        ] {
            assert_eq!(TraceParent::parse(invalid), None, "{invalid}");
        }
    }

    #[test]
    fn requires_exactly_one_header() {
        let trace = |pairs: &[(&'static str, &'static str)]| {
            TraceParent::from_header(&headers(pairs), &TRACEPARENT)
        };
        let header = ("traceparent", VALID);
        assert!(trace(&[header, ("x-traceparent", VALID)]).is_some());
        assert_eq!(trace(&[header, header]), None);
        assert_eq!(trace(&[("x-traceparent", VALID)]), None);
    }
}
