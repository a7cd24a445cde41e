//! The time that a request spends in Postgres, Redis and the model.
//!
//! The functions that call them do not know the request. Its [`Timings`] are
//! therefore set while its future is polled, see [`scope`].

use std::{
    cell::{Cell, RefCell},
    fmt::Write,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

/// A server that requests wait for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Server {
    /// Postgres, including the wait for a connection.
    Postgres,
    /// Redis, including the connection.
    Redis,
    /// The model's server.
    Model,
}

impl Server {
    const ALL: [Self; 3] = [Self::Postgres, Self::Redis, Self::Model];

    /// Returns the name in `Server-Timing`.
    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Model => "model",
        }
    }
}

/// The times of one request, added up over its calls. Calls at the same time count fully, each for itself.
#[derive(Debug, Default)]
pub struct Timings {
    postgres: Cell<Option<Duration>>,
    redis: Cell<Option<Duration>>,
    model: Cell<Option<Duration>>,
}

impl Timings {
    fn cell(&self, server: Server) -> &Cell<Option<Duration>> {
        match server {
            Server::Postgres => &self.postgres,
            Server::Redis => &self.redis,
            Server::Model => &self.model,
        }
    }

    /// Returns the time in `server`; `None` if it was not called.
    pub fn get(&self, server: Server) -> Option<Duration> {
        self.cell(server).get()
    }

    fn add(&self, server: Server, time: Duration) {
        let cell = self.cell(server);
        cell.set(Some(cell.get().unwrap_or_default() + time));
    }

    /// Returns the times as a value of `Server-Timing`: `redis;dur=0.41, model;dur=350.2`. `None` if there are none.
    pub fn to_header(&self) -> Option<String> {
        let mut value = String::new();
        for server in Server::ALL {
            if let Some(time) = self.get(server) {
                let separator = if value.is_empty() { "" } else { ", " };
                let _ = write!(
                    value,
                    "{separator}{};dur={}",
                    server.name(),
                    milliseconds(time)
                );
            }
        }
        (!value.is_empty()).then_some(value)
    }

    /// Adds the times in another component's `Server-Timing`.
    pub fn add_header(&self, value: &str) {
        for metric in value.split(',') {
            let Some((name, duration)) = metric.trim().split_once(";dur=") else {
                continue;
            };
            let server = Server::ALL.into_iter().find(|server| server.name() == name);
            let time = duration
                .parse()
                .ok()
                .map(|milliseconds: f64| milliseconds / 1e3);
            let time = time.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            if let (Some(server), Some(time)) = (server, time) {
                self.add(server, time);
            }
        }
    }
}

/// Returns milliseconds with two decimals.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 100.0
}

thread_local! {
    /// The times of the request whose future is being polled.
    static CURRENT: RefCell<Option<Rc<Timings>>> = const { RefCell::new(None) };
}

/// Runs `work`, whose calls [`measure`] adds to `timings`. Other requests of the instance that run in between add to
/// their own.
pub async fn scope<T>(timings: Rc<Timings>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    poll_fn(|context| {
        let outer = CURRENT.replace(Some(Rc::clone(&timings)));
        let polled = work.as_mut().poll(context);
        CURRENT.set(outer);
        polled
    })
    .await
}

/// Waits for `work` and adds its time to the current request.
pub async fn measure<T>(server: Server, work: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let output = work.await;
    CURRENT.with_borrow(|timings| {
        if let Some(timings) = timings {
            timings.add(server, start.elapsed());
        }
    });
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn adds_each_call_to_the_request_that_made_it() {
        let (one, two) = (Rc::<Timings>::default(), Rc::<Timings>::default());
        let mut is_done = false;
        let second_poll_is_ready = poll_fn(|_| match std::mem::replace(&mut is_done, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let first = scope(
            Rc::clone(&one),
            measure(Server::Postgres, second_poll_is_ready),
        );
        let second = scope(Rc::clone(&two), measure(Server::Redis, async {}));
        let (mut first, mut second) = (pin!(first), pin!(second));
        let mut context = Context::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert!(first.as_mut().poll(&mut context).is_ready());
        let called = |timings: &Timings| Server::ALL.map(|server| timings.get(server).is_some());
        assert_eq!(called(&one), [true, false, false]);
        assert_eq!(called(&two), [false, true, false]);
        assert!(CURRENT.with_borrow(Option::is_none));
    }

    #[test]
    fn passes_times_through_server_timing() {
        let timings = Timings::default();
        assert_eq!(timings.to_header(), None);
        timings.add(Server::Model, Duration::from_micros(350_214));
        timings.add(Server::Redis, Duration::from_micros(410));
        let header = timings.to_header();
        assert_eq!(header.as_deref(), Some("redis;dur=0.41, model;dur=350.21"));
        let caller = Timings::default();
        for value in [
            &*header.unwrap_or_default(),
            "model;dur=1",
            "cdn;dur=9, redis;dur=-1, x",
        ] {
            caller.add_header(value);
        }
        assert_eq!(
            caller.to_header().as_deref(),
            Some("redis;dur=0.41, model;dur=351.21")
        );
    }
}
