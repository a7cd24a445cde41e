//! A running instance of the service and the servers behind it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use testbed::runtime::App;

use super::client::{Client, Service};
use super::database::Database;
use super::own::Own;
use super::private_values;

/// How long a log line may take from the component to the test on a busy machine.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Keys of the shared state of the model's server: the circuit breaker and the request features it accepts.
const MODEL_STATE_KEYS: &str = "{sentiment}:model:*";

/// Keys of the calls and failures of users.
const USER_KEYS: &str = "{sentiment}:user:*";

/// Keys of the cached marks of texts.
const MARKS_KEYS: &str = "{sentiment}:marks:*";

/// The shared state of a model's server, in Redis.
#[derive(Debug, Default, PartialEq)]
pub struct ModelState {
    /// Failures in a row while the circuit is closed.
    pub failures: Option<u32>,
    /// When an open circuit lets a trial request through, in Unix milliseconds.
    pub open_until: Option<i64>,
    /// How long the circuit was opened for because of failures, in milliseconds.
    pub backoff: Option<i64>,
}

/// A running instance. Its process ends when it is dropped.
pub struct Instance {
    /// Sends requests to the instance.
    pub service: Service,
    /// The process.
    pub app: Own<App>,
    /// The URL of its database.
    pub database_url: Own<String>,
    /// The URL of its Redis database.
    pub redis_url: Own<String>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(app) = self.app.get() {
            private_values::keep_log(app.log());
        }
    }
}

impl Instance {
    /// Returns a client without a token.
    pub fn anonymous(&self) -> Client {
        self.service.anonymous()
    }

    /// Registers a user and logs it in.
    pub async fn user(&self) -> Client {
        self.service.user().await
    }

    /// Connects to the database.
    pub async fn database(&self) -> Database {
        Database::connect(&self.database_url).await
    }

    /// Connects to Redis.
    pub async fn redis(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.redis_url.as_str()).expect("the URL is valid");
        let connection = client.get_multiplexed_async_connection().await;
        connection.expect("Redis accepts connections")
    }

    /// Waits until one line of the log contains all these parts, then returns the log.
    pub async fn wait_for_log(&self, parts: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let log = self.app.log();
            let has_parts = |line: &str| parts.iter().all(|part| line.contains(part));
            if log.lines().any(has_parts) {
                return log;
            }
            let waited = start.elapsed();
            assert!(waited < LOG_TIMEOUT, "no line contains {parts:?}: {log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends the time for which the sweep skips entries on which the model failed.
    pub async fn make_entries_due(&self) {
        let statement = "update thought_diaries set analysis_retry_at = created_at";
        self.database().await.execute(statement, &[]).await;
    }

    /// Closes the circuit and forgets which request features the model's server accepts. Cached marks stay.
    pub async fn reset_model_state(&self) {
        let mut redis = self.redis().await;
        for key in self.keys(MODEL_STATE_KEYS).await {
            let _: () = redis.del(&key).await.expect("Redis deletes the key");
        }
    }

    /// Returns the shared state of the only model that this instance uses.
    pub async fn model_state(&self) -> ModelState {
        let keys = self.keys(MODEL_STATE_KEYS).await;
        assert!(keys.len() <= 1, "{keys:?}");
        let Some(key) = keys.first() else {
            return ModelState::default();
        };
        let fields = ["failures", "open_until", "pause"];
        let values = self.redis().await.hmget(key, &fields).await;
        let (failures, open_until, backoff) = values.expect("the fields are numbers");
        ModelState {
            failures,
            open_until,
            backoff,
        }
    }

    /// Returns in how many milliseconds Redis forgets the state of the model.
    pub async fn model_state_ttl(&self) -> i64 {
        let key = self.model_state_key().await;
        let ttl = self.redis().await.pttl(&key).await;
        ttl.expect("the key exists")
    }

    /// Makes an open circuit half-open, as waiting would.
    pub async fn end_open_period(&self) {
        self.set_model_state("open_until", 1).await;
    }

    /// Makes the service forget which request features the model's server accepts, as a day would.
    pub async fn expire_request_features(&self) {
        self.set_model_state("features_until", 1).await;
    }

    /// Sets the time until which other requests wait for the trial of a half-open circuit, in Unix milliseconds.
    pub async fn set_trial_until(&self, time: i64) {
        let key = self.model_state_key().await;
        let set = self.redis().await.hset(&key, "trial_until", time).await;
        let _: i32 = set.expect("Redis sets the field");
    }

    async fn set_model_state(&self, field: &str, value: i64) {
        let key = self.model_state_key().await;
        let set = self.redis().await.hset(&key, field, value).await;
        let added: i32 = set.expect("Redis sets the field");
        assert_eq!(added, 0, "`{field}` was set before");
    }

    async fn model_state_key(&self) -> String {
        let mut keys = self.keys(MODEL_STATE_KEYS).await;
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys.remove(0)
    }

    /// Returns how often the model was called for each user.
    pub async fn user_calls(&self) -> Vec<Option<u32>> {
        let mut calls = Vec::new();
        for key in self.keys(USER_KEYS).await {
            let count = self.redis().await.hget(key, "calls").await;
            calls.push(count.expect("the count is a number"));
        }
        calls
    }

    /// Ends the windows in which the calls of users are counted.
    pub async fn end_user_windows(&self) {
        for key in self.keys(USER_KEYS).await {
            let set = self.redis().await.hset(key, "calls_until", 1).await;
            let added: i32 = set.expect("Redis sets the field");
            assert_eq!(added, 0, "the window was set before");
        }
    }

    /// Returns for how many milliseconds the model is not called for a user because of failures; of several users the longest.
    pub async fn longest_user_pause(&self) -> i64 {
        let now = chrono::Utc::now().timestamp_millis();
        let mut longest = 0;
        for key in self.keys(USER_KEYS).await {
            let until = self.redis().await.hget(key, "paused_until").await;
            let until: Option<i64> = until.expect("the time is a number");
            longest = longest.max(until.unwrap_or_default() - now);
        }
        longest
    }

    /// Ends the pauses of users, as waiting would.
    pub async fn end_user_pauses(&self) {
        for key in self.keys(USER_KEYS).await {
            let set = self.redis().await.hset(key, "paused_until", 1).await;
            let _: i32 = set.expect("Redis sets the field");
        }
    }

    /// Returns the cached marks by key.
    pub async fn cached_marks(&self) -> BTreeMap<String, String> {
        let mut redis = self.redis().await;
        let mut cached = BTreeMap::new();
        for key in self.keys(MARKS_KEYS).await {
            let value = redis.get(&key).await.expect("marks are strings");
            cached.insert(key, value);
        }
        cached
    }

    async fn keys(&self, pattern: &str) -> Vec<String> {
        let keys = self.redis().await.keys(pattern).await;
        keys.expect("Redis lists its keys")
    }
}
