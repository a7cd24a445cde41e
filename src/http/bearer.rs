//! The bearer token of a request.

use http::{HeaderMap, header};

use crate::error::Error;

/// Returns the token of `Authorization: Bearer …`. Two such headers are ambiguous and therefore invalid.
///
/// # Errors
/// `unauthorized` without a token, `token_invalid` when it is ambiguous or not text.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::Unauthorized)?;
    if values.next().is_some() {
        return Err(Error::TokenInvalid);
    }
    let (scheme, token) = value
        .to_str()
        .map_err(|_| Error::TokenInvalid)?
        .trim()
        .split_once(' ')
        .ok_or(Error::Unauthorized)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Error::Unauthorized);
    }
    Ok(token.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::headers;

    #[test]
    fn requires_exactly_one_bearer_token() {
        let headers = |values: &[&'static str]| {
            let pairs: Vec<_> = values
                .iter()
                .map(|value| ("authorization", *value))
                .collect();
            headers(&pairs)
        };
        assert_eq!(bearer_token(&headers(&["bearer  t"])), Ok("t"));
        assert_eq!(bearer_token(&headers(&[])), Err(Error::Unauthorized));
        assert_eq!(
            bearer_token(&headers(&["Basic dTpw"])),
            Err(Error::Unauthorized)
        );
        assert_eq!(
            bearer_token(&headers(&["Bearer a", "Bearer b"])),
            Err(Error::TokenInvalid)
        );
    }
}
