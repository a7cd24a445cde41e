//! Rate limits per client address, counted in Redis so that all instances share the counts.

use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderName;
use spin_sdk::redis::{RedisParameter, RedisResult};
use thought_diary::{
    Error,
    config::{Secret, parse_duration},
    http::{ClientAddress, Context},
    redis,
};

/// Counts an attempt. Returns the number of attempts in this window and the milliseconds left of it.
///
/// Redis runs a script atomically: concurrent attempts get different numbers,
/// and a count always has an expiry.
const COUNT: &str = "
local attempts = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    left = tonumber(ARGV[1])
    redis.call('PEXPIRE', KEYS[1], left)
end
return {attempts, left}
";

/// Maximum length of a window, in seconds.
const MAX_WINDOW: u64 = 31 * 86_400;

/// A number of attempts per window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    attempts: u64,
    seconds: u64,
}

impl Limit {
    /// Parses `5/15m`: a number of attempts, and the length of the window.
    pub fn parse(text: &str) -> Option<Self> {
        let (attempts, window) = text.split_once('/')?;
        let limit = Self {
            attempts: attempts.trim().parse().ok()?,
            seconds: parse_duration(window)?.as_secs(),
        };
        (limit.attempts > 0 && limit.seconds <= MAX_WINDOW).then_some(limit)
    }
}

/// Counts this request as an attempt on `route` and sets the response's `X-RateLimit-*` headers.
///
/// # Errors
/// `rate_limit_exceeded`; `service_unavailable` when Redis is unreachable,
/// because without the count passwords could be guessed without limit.
pub async fn check(
    limit: Limit,
    route: &str,
    ClientAddress(address): ClientAddress,
    context: &Context,
    redis_url: &Secret,
) -> Result<(), Error> {
    let key = format!("limit:{route}:{}", network(address));
    let window = limit.seconds.saturating_mul(1000).to_string();
    let arguments = [COUNT, "1", &key, &window]
        .map(|argument| RedisParameter::Binary(argument.as_bytes().to_vec()));
    let result = redis::execute(redis_url, "EVAL", arguments.into()).await?;
    let [RedisResult::Int64(attempts), RedisResult::Int64(left)] = result.as_slice() else {
        return Err(Error::Internal(
            "the rate limit's script returned an unexpected shape".into(),
        ));
    };
    let attempts = attempts.unsigned_abs();
    let seconds_left = left.unsigned_abs().div_ceil(1000).max(1);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    for (name, value) in [
        ("x-ratelimit-limit", limit.attempts),
        (
            "x-ratelimit-remaining",
            limit.attempts.saturating_sub(attempts),
        ),
        ("x-ratelimit-reset", now + seconds_left),
    ] {
        context.set_header(HeaderName::from_static(name), value);
    }
    if attempts > limit.attempts {
        return Err(Error::RateLimitExceeded(seconds_left));
    }
    Ok(())
}

/// Returns the network that counts as one client: an IPv4 address, or the /64 that an IPv6 customer usually gets.
fn network(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_attempts_and_window() {
        let limit = |attempts, seconds| Some(Limit { attempts, seconds });
        assert_eq!(Limit::parse("3/1h"), limit(3, 3600));
        assert_eq!(Limit::parse("5 / 15m"), limit(5, 900));
        assert_eq!(Limit::parse("1/30s"), limit(1, 30));
        for bad in [
            "",
            "3",
            "3/",
            "3/h",
            "0/1h",
            "-1/1h",
            "3/0s",
            "3/1y",
            "3/99999999999d",
            "3/1é",
        ] {
            assert_eq!(Limit::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn counts_an_ipv6_network_as_one_client() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:3::1"), "2001:db8:1:3::/64");
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
    }
}
