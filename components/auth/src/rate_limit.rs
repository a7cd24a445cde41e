//! Attempts per client address, counted in Redis so that all instances count together.

use std::{
    net::IpAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderName;
use spin_sdk::redis::{RedisParameter, RedisResult};
use thought_diary::{
    Error, Request,
    config::{Secret, duration},
    redis,
};

/// Counts one attempt and tells how many there were and when the count starts anew.
///
/// One script is one step for Redis: of attempts that arrive together each gets
/// its own number, and there is no moment at which a count has no expiry.
const COUNT: &str = "
local attempts = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
    left = tonumber(ARGV[1])
    redis.call('PEXPIRE', KEYS[1], left)
end
return {attempts, left}
";

/// So many attempts in so many seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    attempts: u64,
    seconds: u64,
}

impl Limit {
    /// Reads `5/15m`: attempts, and a time in `s`, `m`, `h` or `d`.
    pub fn parse(text: &str) -> Option<Self> {
        let (attempts, time) = text.split_once('/')?;
        let limit = Self {
            attempts: attempts.trim().parse().ok()?,
            seconds: duration(time)?.as_secs(),
        };
        let sensible = limit.attempts > 0 && limit.seconds <= 31 * 86_400;
        sensible.then_some(limit)
    }

    /// Counts this request as an attempt and lets it pass or not. Either way the
    /// answer will carry the `X-RateLimit-*` headers.
    ///
    /// # Errors
    /// `rate_limit_exceeded`, or `service_unavailable` when Redis is: without
    /// the count nothing would stand between an attacker and the passwords.
    pub async fn pass(
        self,
        route: &str,
        request: &mut Request,
        redis_url: &Secret,
    ) -> Result<(), Error> {
        let key = format!("limit:{route}:{}", network(request.client()));
        let window = self.seconds.saturating_mul(1000).to_string();
        let parameters = [COUNT, "1", &key, &window]
            .map(|argument| RedisParameter::Binary(argument.as_bytes().to_vec()));
        let answer = redis::execute(redis_url, "EVAL", parameters.into()).await?;
        let [RedisResult::Int64(attempts), RedisResult::Int64(left)] = answer.as_slice() else {
            return Err(Error::Internal(
                "a rate limit's count has another shape".into(),
            ));
        };
        let attempts = attempts.unsigned_abs();
        let seconds_left = left.unsigned_abs().div_ceil(1000).max(1);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        for (name, value) in [
            ("x-ratelimit-limit", self.attempts),
            (
                "x-ratelimit-remaining",
                self.attempts.saturating_sub(attempts),
            ),
            ("x-ratelimit-reset", now + seconds_left),
        ] {
            request.answer_with(HeaderName::from_static(name), value);
        }
        if attempts > self.attempts {
            return Err(Error::RateLimitExceeded(seconds_left));
        }
        Ok(())
    }
}

/// What counts as one client: an IPv4 address, or the /64 network that an IPv6 customer has to choose from.
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
    fn limits_read_as_they_are_written() {
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
    fn an_ipv6_customer_is_one_client() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(
            network("2001:db8:1:2:3::4"),
            network("2001:db8:1:2:ffff::1")
        );
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
    }
}
