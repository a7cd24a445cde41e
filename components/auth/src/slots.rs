//! Bounds how many passwords are hashed at once, over all instances.
//!
//! A hash occupies a thread of the host for some 20 ms, and the host has one thread per core. With a slot for
//! each core, other requests wait for hashes: during 300 logins at once on two cores, the median of
//! `GET /diaries` rose from 2 ms to 50 ms with two slots, and to 3.5 ms with one.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use spin_sdk::{redis::RedisResult, time::sleep, wasip3::random::random::get_random_u64};
use thought_diary::{
    Error,
    config::{Secret, parsed},
    http::Context,
    log::Level,
    redis,
};

/// The Redis keys of the slots in use and of the requests that wait for one: sorted sets of random ids, with the Unix
/// time in milliseconds at which each expires.
const KEYS: [&str; 2] = ["{hashing}:slots", "{hashing}:waiting"];

/// Takes a slot if one is free, otherwise registers the request as waiting. Returns 0, or the number of waiting requests.
/// The command is sent again when its reply is lost, so a request may have its slot already.
const TAKE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, key in ipairs(KEYS) do
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
end
local taken = redis.call('ZCARD', KEYS[1]) < tonumber(ARGV[1]) or redis.call('ZSCORE', KEYS[1], ARGV[3])
local key = taken and KEYS[1] or KEYS[2]
redis.call('ZADD', key, now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', key, ARGV[2])
if taken then
    redis.call('ZREM', KEYS[2], ARGV[3])
    return 0
end
return redis.call('ZCARD', KEYS[2])
";

/// Time after which a slot is free again that was not released, because its instance has ended or Redis was unreachable.
/// All logins may wait for that. Work takes some 50 ms; if it takes longer than this, it no longer counts.
const LEASE: Duration = Duration::from_secs(3);

/// Time for which a request waits for a slot.
const MAX_WAIT: Duration = Duration::from_secs(15);

/// Mean time between two attempts of all waiting requests together. A free slot stays unused for about this long.
const ATTEMPT_INTERVAL: Duration = Duration::from_millis(3);

/// Longest mean pause between two attempts of one request.
const MAX_PAUSE: Duration = Duration::from_millis(1000);

/// Longest pause between two attempts of one request to take the slot of its instance.
const INSTANCE_SLOT_PAUSE: Duration = Duration::from_millis(200);

/// Time for Redis to answer.
const REDIS_TIMEOUT: Duration = Duration::from_millis(1000);

/// The slots for hashing.
#[derive(Debug)]
pub struct Slots {
    /// `password_hash_slots`.
    count: u32,
    redis_url: Secret,
}

impl Slots {
    /// Reads the setting.
    ///
    /// # Errors
    /// `service_unavailable` when it is invalid.
    pub async fn load(redis_url: Secret) -> Result<Self, Error> {
        let count = parsed("password_hash_slots", "a number from 1 to 1000", |value| {
            value
                .parse()
                .ok()
                .filter(|count| (1..=1000).contains(count))
        });
        Ok(Self {
            count: count.await?,
            redis_url,
        })
    }

    /// Waits for a slot and for `work` in it. While Redis is unreachable, each instance has one slot of its own.
    ///
    /// The statements before and after a hash belong to `work`: requests that wait use no connection to Postgres, and
    /// with one slot a guess is counted before the next one is verified.
    ///
    /// # Errors
    /// `service_unavailable` when no slot becomes free in time, and those of `work`.
    pub async fn run<T>(
        &self,
        context: &Context,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let id = format!("{:016x}", get_random_u64());
        let start = Instant::now();
        let has_slot = match self.wait_for_slot(&id, start).await {
            Ok(has_slot) => has_slot,
            Err(error) => {
                let cause = error.cause().unwrap_or_default();
                let message = format!("{cause}; the slot of this instance is used");
                context.log(Level::Warn, &message);
                let slot = InstanceSlot::wait(start).await;
                let _slot = slot.ok_or_else(|| self.none_became_free())?;
                return work.await;
            }
        };
        if !has_slot {
            return Err(self.none_became_free());
        }
        let result = work.await;
        let [slots_key, _] = KEYS;
        // If this fails, the slot expires.
        let _ = self.command("ZREM", &[slots_key, &id]).await;
        result
    }

    /// Returns false when none becomes free in time.
    async fn wait_for_slot(&self, id: &str, start: Instant) -> Result<bool, Error> {
        let (slots, lease) = (self.count.to_string(), LEASE.as_millis().to_string());
        let [slots_key, waiting_key] = KEYS;
        loop {
            let arguments = [TAKE, "2", slots_key, waiting_key, &slots, &lease, id];
            let results = self.command("EVAL", &arguments).await?;
            let waiting = match results.as_slice() {
                [RedisResult::Int64(0)] => return Ok(true),
                [RedisResult::Int64(waiting)] => u32::try_from(*waiting).unwrap_or(u32::MAX),
                _ => {
                    return Err(Error::Internal(
                        "the script of the slots returned an unexpected shape".into(),
                    ));
                }
            };
            if start.elapsed() >= MAX_WAIT {
                // If this fails, it expires.
                let _ = self.command("ZREM", &[waiting_key, id]).await;
                return Ok(false);
            }
            let pause = ATTEMPT_INTERVAL.saturating_mul(waiting).min(MAX_PAUSE);
            sleep(random_up_to(2 * pause)).await;
        }
    }

    fn none_became_free(&self) -> Error {
        Error::Unavailable(format!(
            "the password could not be hashed within {} s, because password_hash_slots is {} and all were in use",
            MAX_WAIT.as_secs(),
            self.count
        ))
    }

    async fn command(&self, command: &str, arguments: &[&str]) -> Result<Vec<RedisResult>, Error> {
        redis::execute_within(REDIS_TIMEOUT, &self.redis_url, command, arguments).await
    }
}

/// The slot of this instance, for the time when Redis is unreachable. It is free again when this is dropped.
struct InstanceSlot;

thread_local! {
    static IS_IN_USE: Cell<bool> = const { Cell::new(false) };
}

impl InstanceSlot {
    /// Waits for the slot. Returns `None` when it does not become free in time.
    async fn wait(start: Instant) -> Option<Self> {
        while IS_IN_USE.replace(true) {
            if start.elapsed() >= MAX_WAIT {
                return None;
            }
            sleep(random_up_to(INSTANCE_SLOT_PAUSE)).await;
        }
        Some(Self)
    }
}

impl Drop for InstanceSlot {
    fn drop(&mut self) {
        IS_IN_USE.set(false);
    }
}

/// Returns a random duration up to `longest`, so that requests that arrived together do not try again together.
fn random_up_to(longest: Duration) -> Duration {
    longest.mul_f64((get_random_u64() % 1000) as f64 / 1000.0)
}
