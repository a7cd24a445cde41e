//! Has the model mark a text, unless its marks are known already or the model is to be left alone.

use std::time::{Duration, Instant};

use spin_sdk::time::sleep;
use thought_diary::{analysis::Fallback, http::Context, log::Level};

use crate::{
    cache,
    circuit::News,
    config::Model,
    markup::{Mark, phrases::locate},
    memory::{self, Place, Recalled, look, recall},
    provider::{self, Failure},
};

/// How often somebody who waits for the marks of another's equal text looks for them.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The model's marks of `text`. `digest`, where there is one, tells texts apart
/// without telling what is in them; the marks of that text are then kept.
///
/// # Errors
/// Why there are none, after a line in the log.
pub async fn marks(
    context: &Context,
    model: &Model,
    text: &str,
    digest: Option<&str>,
) -> Result<Vec<Mark>, Fallback> {
    let began = Instant::now();
    let place = model.cache_ttl.and_then(|expiry| {
        let key = cache::key(model, digest?)?;
        Some(Place { key, expiry })
    });
    let place = place.as_ref();
    let mut recalled = recall(model, place).await;
    while let (Recalled::Asked, Some(place)) = (&recalled, place)
        && began.elapsed() < model.timeout
    {
        sleep(LOOK_AGAIN).await;
        // A model that was left little time would be blamed for taking longer.
        recalled = if began.elapsed() < model.timeout / 2 {
            recall(model, Some(place)).await
        } else {
            look(model, place).await
        };
    }
    if let Recalled::Known(value) = &recalled {
        if let Some(marks) = cache::read(value, text) {
            return Ok(marks);
        }
        context.log(Level::Warn, "kept marks made no sense and are replaced");
        recalled = recall(model, None).await;
    }
    let Recalled::Ask(permit, dialect) = recalled else {
        context.log(Level::Debug, "the model is being left alone");
        return Err(Fallback::Unavailable);
    };
    let left = model.timeout.saturating_sub(began.elapsed());
    let called = provider::phrases(model, text, dialect, left).await;
    let marks = called
        .phrases
        .and_then(|phrases| match locate(text, &phrases) {
            marks if marks.is_empty() && !phrases.is_empty() => Err(Failure::Unusable(
                "names only phrases that are not in the text",
            )),
            marks => Ok(marks),
        });
    let kept = marks.as_ref().ok().map(|marks| cache::write(marks));
    let outcome = Failure::outcome(marks.as_ref().err());
    let news = memory::record(model, permit, outcome, called.dialect, place, kept).await;
    marks.map_err(|failure| {
        log(context, &failure, news);
        failure.fallback()
    })
}

/// Of many requests that meet the same failure, the one that opens the circuit says so.
fn log(context: &Context, failure: &Failure, news: News) {
    let (level, consequence) = match news {
        News::Closed => (Level::Warn, "the built-in lexicon took over".to_owned()),
        News::Open => (Level::Debug, "the model is being left alone".to_owned()),
        News::Opened(pause) => (
            failure.level(),
            format!(
                "the built-in lexicon takes over for {} s",
                pause.as_secs_f32().ceil()
            ),
        ),
    };
    context.log(level, &format!("{failure}; {consequence}"));
}
