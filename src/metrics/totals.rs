//! The totals of all instances, in Redis.

use std::{
    cell::{Cell, RefCell},
    time::{Duration, Instant},
};

use spin_sdk::{redis::RedisResult, time::sleep, wasip3::random::random::get_random_u64};

use super::counts;
use crate::{background::run_after_response, config::Secret, error::Error, redis};

/// A hash: from the names of series to their totals. The hash tag keeps both kinds of key in one slot of a cluster.
const TOTALS: &str = "{metrics}:totals";

/// Prefix of the key that marks a batch as added.
const BATCH: &str = "{metrics}:batch:";

/// Adds a batch to the totals. A batch may be sent again, because its response was lost, and is then ignored.
const ADD: &str = "
if redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[1]) then
    for i = 3, #ARGV, 2 do
        redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
    end
    redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
";

/// Seconds for which a batch may be sent again.
const BATCH_TTL: &str = "60";

/// Seconds after which the totals of a service without requests are forgotten: 30 days.
const TOTALS_TTL: &str = "2592000";

/// Time from the first count to the flush. Spin does not drop an instance before its tasks have ended.
const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Length of the pauses into which [`FLUSH_INTERVAL`] is divided. An instance that has flushed after its last request
/// lingers no longer than this.
const PAUSE: Duration = Duration::from_millis(100);

/// Requests after which an instance flushes at once: Spin lets an instance serve 128.
const FLUSH_REQUESTS: u32 = 128;

/// Time for Redis to add a batch, or to return the totals.
const REDIS_TIMEOUT: Duration = Duration::from_secs(2);

/// Counts that are sent in one command.
struct Batch {
    id: String,
    fields: Vec<(String, u64)>,
}

thread_local! {
    /// Requests since the last flush.
    static REQUESTS: Cell<u32> = const { Cell::new(0) };
    /// True while the task runs that flushes every [`FLUSH_INTERVAL`].
    static IS_SCHEDULED: Cell<bool> = const { Cell::new(false) };
    /// True while a task is flushing.
    static IS_FLUSHING: Cell<bool> = const { Cell::new(false) };
    /// The batch that Redis did not acknowledge.
    static FAILED: RefCell<Option<Batch>> = const { RefCell::new(None) };
}

/// Makes sure that this instance's counts are flushed soon. Called once for each request, when its response is ready.
pub fn schedule_flush(redis_url: &'static Secret) {
    let requests = REQUESTS.get() + 1;
    REQUESTS.set(requests);
    if requests >= FLUSH_REQUESTS {
        // If it fails, the task below tries again.
        run_after_response(async { drop(flush(redis_url).await) });
    }
    if !IS_SCHEDULED.replace(true) {
        run_after_response(async {
            flush_until_empty(redis_url).await;
            IS_SCHEDULED.set(false);
        });
    }
}

/// Flushes every [`FLUSH_INTERVAL`] until everything is flushed or Redis fails.
async fn flush_until_empty(redis_url: &Secret) {
    let mut start = Instant::now();
    while !counts::are_empty() {
        sleep(PAUSE).await;
        if start.elapsed() >= FLUSH_INTERVAL {
            if flush(redis_url).await.is_err() {
                return;
            }
            start = Instant::now();
        }
    }
}

/// Adds this instance's counts to the totals, unless another task is doing that.
///
/// # Errors
/// When Redis fails. The batch is then kept for the next flush of this instance.
async fn flush(redis_url: &Secret) -> Result<(), Error> {
    REQUESTS.set(0);
    if IS_FLUSHING.replace(true) {
        return Ok(());
    }
    let result = send_batches(redis_url).await;
    IS_FLUSHING.set(false);
    result
}

async fn send_batches(redis_url: &Secret) -> Result<(), Error> {
    if let Some(batch) = FAILED.take() {
        send(redis_url, batch).await?;
    }
    let fields = counts::take();
    if fields.is_empty() {
        return Ok(());
    }
    let id = format!("{BATCH}{:016x}", get_random_u64());
    send(redis_url, Batch { id, fields }).await
}

async fn send(redis_url: &Secret, batch: Batch) -> Result<(), Error> {
    let counts: Vec<String> = batch
        .fields
        .iter()
        .map(|(_, count)| count.to_string())
        .collect();
    let mut arguments = vec![ADD, "2", TOTALS, &batch.id, BATCH_TTL, TOTALS_TTL];
    for ((field, _), count) in batch.fields.iter().zip(&counts) {
        arguments.extend([field.as_str(), count]);
    }
    let added = redis::execute_within(REDIS_TIMEOUT, redis_url, "EVAL", &arguments).await;
    if added.is_err() {
        FAILED.set(Some(batch));
    }
    added.map(drop)
}

/// Returns the names of all series and their totals.
///
/// # Errors
/// `service_unavailable` when Redis is unreachable or does not answer in time.
pub async fn read_totals(redis_url: &Secret) -> Result<Vec<(String, u64)>, Error> {
    let results = redis::execute_within(REDIS_TIMEOUT, redis_url, "HGETALL", &[TOTALS]).await?;
    let (pairs, _) = results.as_chunks::<2>();
    let total = |pair: &[RedisResult; 2]| match pair {
        [RedisResult::Binary(field), RedisResult::Binary(total)] => Some((
            String::from_utf8(field.clone()).ok()?,
            str::from_utf8(total).ok()?.parse().ok()?,
        )),
        _ => None,
    };
    Ok(pairs.iter().filter_map(total).collect())
}
