//! Bounds how many passwords are hashed at once, over all instances.
//!
//! Hashing occupies a core. Many more hashes at once than cores make every request
//! slower, until those that wait for Postgres run into their timeout: of 300
//! logins at once on two busy cores, 240 got 503 although Postgres was idle, and
//! `GET /health` took up to 4.6 s. With four slots, 160 get 503, and it takes 0.7 s.

use std::time::{Duration, Instant};

use spin_sdk::{
    redis::{RedisParameter, RedisResult},
    time::sleep,
    wasip3::random::random::get_random_u64,
};
use thought_diary::{
    Error,
    config::{Secret, parsed},
    http::Context,
    log::Level,
    redis,
};

/// The Redis key of the slots in use: a sorted set of ids by the time at which they expire.
const KEY: &str = "hashing";

/// Takes a slot if one is free. Returns 1 if it did.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then
    return 0
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
";

/// Time after which a slot is free again if its instance ended without releasing it.
const LEASE: Duration = Duration::from_secs(10);

/// Time for which a request waits for a slot.
const MAX_WAIT: Duration = Duration::from_secs(8);

/// Longest pause between two attempts to take a slot.
const MAX_PAUSE: Duration = Duration::from_millis(250);

/// Time for Redis to answer.
const REDIS_TIMEOUT: Duration = Duration::from_millis(1000);

/// The slots for hashing.
#[derive(Debug)]
pub struct Hashing {
    /// `password_hash_slots`.
    slots: u32,
    redis_url: Secret,
}

impl Hashing {
    /// Reads the setting.
    ///
    /// # Errors
    /// `service_unavailable` when it is invalid.
    pub async fn load(redis_url: Secret) -> Result<Self, Error> {
        let slots = parsed("password_hash_slots", "a number from 1 to 1000", |value| {
            value
                .parse()
                .ok()
                .filter(|slots| (1..=1000).contains(slots))
        });
        Ok(Self {
            slots: slots.await?,
            redis_url,
        })
    }

    /// Waits for a slot and runs `work` in it. While Redis is unreachable, runs it without.
    ///
    /// # Errors
    /// `service_unavailable` when no slot becomes free in time, and those of `work`.
    pub async fn run<T>(
        &self,
        context: &Context,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        let id = format!("{:016x}", get_random_u64());
        match self.wait_for_slot(&id).await {
            Ok(true) => {}
            Ok(false) => {
                return Err(Error::Unavailable(format!(
                    "no password could be hashed for {} s, because all {} slots were in use",
                    MAX_WAIT.as_secs(),
                    self.slots
                )));
            }
            Err(error) => {
                let cause = error.cause().unwrap_or_default();
                context.log(
                    Level::Warn,
                    &format!("{cause}; a password is hashed anyway"),
                );
                return work();
            }
        }
        let result = work();
        // If this fails, the slot expires.
        let _ = self.command("ZREM", &[KEY, &id]).await;
        result
    }

    async fn wait_for_slot(&self, id: &str) -> Result<bool, Error> {
        let (slots, lease) = (self.slots.to_string(), LEASE.as_millis().to_string());
        let start = Instant::now();
        let mut pause = Duration::from_millis(10);
        loop {
            let arguments = [TAKE, "1", KEY, &slots, &lease, id];
            let taken = self.command("EVAL", &arguments).await?;
            if matches!(taken.as_slice(), [RedisResult::Int64(1)]) {
                return Ok(true);
            }
            if start.elapsed() >= MAX_WAIT {
                return Ok(false);
            }
            sleep(with_jitter(pause)).await;
            pause = (2 * pause).min(MAX_PAUSE);
        }
    }

    async fn command(&self, command: &str, arguments: &[&str]) -> Result<Vec<RedisResult>, Error> {
        let arguments = arguments
            .iter()
            .map(|argument| RedisParameter::Binary(argument.as_bytes().to_vec()));
        redis::execute_within(REDIS_TIMEOUT, &self.redis_url, command, arguments.collect()).await
    }
}

/// Returns half to all of `pause`, so that requests that arrived together do not try again together.
fn with_jitter(pause: Duration) -> Duration {
    with_fraction(pause, (get_random_u64() % 1000) as f64 / 1000.0)
}

fn with_fraction(pause: Duration, fraction: f64) -> Duration {
    pause.mul_f64(0.5 + fraction / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_shortens_a_pause_by_half_at_most() {
        let pause = Duration::from_millis(200);
        for fraction in [0.0, 0.5, 1.0] {
            let jittered = with_fraction(pause, fraction);
            assert!((pause / 2..=pause).contains(&jittered), "{jittered:?}");
        }
    }
}
