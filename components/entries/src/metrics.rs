//! `GET /internal/metrics`: what all instances counted, for Prometheus.

use futures::future::join;
use thought_diary::{
    Error, Response,
    config::HttpConfig,
    metrics::{BACKLOG, POSTGRES_UP, read_totals, render},
    response::prometheus_text,
};

use crate::{
    config::{Config, Operator},
    sweep::db::count_pending,
};

/// `GET /internal/metrics`
///
/// Fails while Redis, which has the totals, is unreachable. Without Postgres the size of the backlog is missing.
pub async fn metrics(config: &'static Config, _operator: Operator) -> Result<Response, Error> {
    let http = HttpConfig::get().await?;
    let totals = read_totals(&http.redis_url);
    let (totals, waiting) = join(totals, count_pending(&config.database)).await;
    let is_up = i64::from(waiting.is_ok());
    let text = render(
        &totals?,
        &[(&POSTGRES_UP, Some(is_up)), (&BACKLOG, waiting.ok())],
    );
    Ok(prometheus_text(text))
}
