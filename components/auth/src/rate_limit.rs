//! Rate limits per client network. Redis counts for all instances; Postgres does while Redis is unreachable.

use std::{net::IpAddr, time::Duration};

use spin_sdk::redis::RedisResult;
use thought_diary::{
    Error,
    config::Secret,
    http::{ClientAddress, Context},
    log::Level,
    pg::Database,
    rate_limit::{Count, Limit},
    redis,
    session::Keys,
};

use crate::db;

/// Counts an attempt under each key. Returns for each key the number of attempts
/// in its current window and the milliseconds left of it, as one flat list.
///
/// Redis runs a script atomically: concurrent attempts get different numbers,
/// and a count always has an expiry.
const COUNT: &str = "
local counts = {}
for _, key in ipairs(KEYS) do
    local attempts = redis.call('INCR', key)
    local left = redis.call('PTTL', key)
    if left < 0 then
        left = tonumber(ARGV[1])
        redis.call('PEXPIRE', key, left)
    end
    table.insert(counts, attempts)
    table.insert(counts, left)
end
return counts
";

/// Timeout of counting in Redis. Postgres counts after it.
const REDIS_TIMEOUT: Duration = Duration::from_millis(1000);

/// Number by which the attempts of a /64 network are multiplied for its /48 network. A /48
/// belongs to one customer of a provider, or to 65,536 with a /64 each.
const WIDE_NETWORK_FACTOR: u64 = 8;

/// The limits of this component, and where their attempts are counted.
#[derive(Debug)]
pub struct RateLimits {
    /// `register_limit`. `None` disables it.
    register: Option<Limit>,
    /// `login_limit`. `None` disables it.
    login: Option<Limit>,
    /// `redis_url`.
    redis_url: Secret,
    database: Database,
    keys: &'static Keys,
}

impl RateLimits {
    /// Reads the settings.
    ///
    /// # Errors
    /// `service_unavailable` when a setting is invalid.
    pub async fn load(
        database: Database,
        redis_url: Secret,
        keys: &'static Keys,
    ) -> Result<Self, Error> {
        Ok(Self {
            register: Limit::from_variable("register_limit").await?,
            login: Limit::from_variable("login_limit").await?,
            redis_url,
            database,
            keys,
        })
    }

    /// Counts a registration and sets the response's `X-RateLimit-*` headers.
    ///
    /// # Errors
    /// `rate_limit_exceeded`; `service_unavailable` when neither Redis nor Postgres
    /// can count, because without counts passwords could be guessed without limit.
    pub async fn check_register(
        &self,
        client: ClientAddress,
        context: &Context,
    ) -> Result<(), Error> {
        self.check(self.register, "register", client, context).await
    }

    /// Counts a login and sets the response's `X-RateLimit-*` headers.
    ///
    /// # Errors
    /// As [`RateLimits::check_register`].
    pub async fn check_login(&self, client: ClientAddress, context: &Context) -> Result<(), Error> {
        self.check(self.login, "login", client, context).await
    }

    /// Counts a confirmation of the password by a user who is logged in. The limit is that of logins.
    ///
    /// # Errors
    /// As [`RateLimits::check_register`].
    pub async fn check_confirmation(
        &self,
        client: ClientAddress,
        context: &Context,
    ) -> Result<(), Error> {
        self.check(self.login, "confirmation", client, context)
            .await
    }

    async fn check(
        &self,
        limit: Option<Limit>,
        route: &str,
        client: ClientAddress,
        context: &Context,
    ) -> Result<(), Error> {
        let Some(limit) = limit else {
            return Ok(());
        };
        let keys: Vec<String> = networks(client)
            .into_iter()
            .map(|network| format!("limit:{route}:{network}"))
            .collect();
        let counts = match self.count_in_redis(&keys, limit).await {
            Err(Error::Unavailable(cause)) => {
                context.log(Level::Warn, &format!("{cause}; Postgres counts instead"));
                self.count_in_postgres(&keys, limit).await?
            }
            counts => counts?,
        };
        let (allowed, count) = decisive(limit, &counts)
            .ok_or_else(|| Error::Internal("no attempt was counted".into()))?;
        count.check(allowed, context)
    }

    async fn count_in_redis(&self, keys: &[String], limit: Limit) -> Result<Vec<Count>, Error> {
        let window = limit.seconds.saturating_mul(1000).to_string();
        let number = keys.len().to_string();
        let keys = keys.iter().map(String::as_str);
        let arguments = [COUNT, &number].into_iter().chain(keys).chain([&*window]);
        let arguments: Vec<&str> = arguments.collect();
        let results =
            redis::execute_within(REDIS_TIMEOUT, &self.redis_url, "EVAL", &arguments).await?;
        let (pairs, _) = results.as_chunks::<2>();
        pairs
            .iter()
            .map(|pair| match pair {
                [RedisResult::Int64(attempts), RedisResult::Int64(left)] => Ok(Count {
                    attempts: attempts.unsigned_abs(),
                    seconds_left: left.unsigned_abs().div_ceil(1000).max(1),
                }),
                _ => Err(Error::Internal(
                    "the rate limit's script returned an unexpected shape".into(),
                )),
            })
            .collect()
    }

    async fn count_in_postgres(&self, keys: &[String], limit: Limit) -> Result<Vec<Count>, Error> {
        let digests = keys.iter().map(|key| self.keys.digest("attempts", key));
        let counts = db::count_attempts(&self.database, digests.collect(), limit.seconds).await?;
        Ok(counts
            .into_iter()
            .map(|(attempts, seconds_left)| Count {
                attempts,
                seconds_left,
            })
            .collect())
    }
}

/// Returns the count that decides, and how many attempts it allows: the narrowest
/// network's, unless a wider one has exceeded its limit. `counts` is in the order of [`networks`].
fn decisive(limit: Limit, counts: &[Count]) -> Option<(u64, Count)> {
    let factors = [1, WIDE_NETWORK_FACTOR];
    let mut allowed = counts.iter().zip(factors).map(|(count, factor)| {
        let attempts = limit.attempts.saturating_mul(factor);
        (attempts, *count)
    });
    let narrowest = allowed.next()?;
    let is_exceeded = |(allowed, count): &(u64, Count)| count.attempts > *allowed;
    Some(allowed.find(is_exceeded).unwrap_or(narrowest))
}

/// Returns the network that counts as one client: an IPv4 address, or the /64 that an IPv6 customer usually gets.
pub fn network(ClientAddress(address): ClientAddress) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Returns the networks under which a client is counted, the narrowest first:
/// [`network`], and for IPv6 also the /48, because many customers get several /64 networks.
fn networks(client: ClientAddress) -> Vec<String> {
    let mut networks = vec![network(client)];
    if let ClientAddress(IpAddr::V6(address)) = client {
        let [a, b, c, ..] = address.segments();
        networks.push(format!("{a:x}:{b:x}:{c:x}::/48"));
    }
    networks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(text: &str) -> ClientAddress {
        ClientAddress(text.parse().expect("an address"))
    }

    #[test]
    fn counts_an_ipv6_client_under_two_networks() {
        assert_eq!(
            networks(client("2001:db8:1:2:3::4")),
            ["2001:db8:1:2::/64", "2001:db8:1::/48"]
        );
        assert_eq!(networks(client("10.0.0.1")), ["10.0.0.1"]);
    }

    #[test]
    fn allows_a_wide_network_more_attempts() {
        let limit = Limit {
            attempts: 5,
            seconds: 900,
        };
        let count = |attempts| Count {
            attempts,
            seconds_left: 60,
        };
        let decisive = |narrow, wide| decisive(limit, &[count(narrow), count(wide)]);
        assert_eq!(decisive(1, 40), Some((5, count(1))));
        assert_eq!(decisive(6, 40), Some((5, count(6))));
        assert_eq!(decisive(1, 41), Some((40, count(41))));
    }

    #[test]
    fn counts_an_ipv6_network_as_one_client() {
        let network = |text: &str| network(client(text));
        assert_eq!(network("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:2:ffff::1"), "2001:db8:1:2::/64");
        assert_eq!(network("2001:db8:1:3::1"), "2001:db8:1:3::/64");
        assert_eq!(network("10.0.0.1"), "10.0.0.1");
    }
}
