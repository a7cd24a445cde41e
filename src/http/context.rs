//! What a handler keeps of its request: the id, the log, and headers for the response.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::trace::TraceParent;
use crate::{error::Error, log, timings::Timings};

/// A response body that is produced piece by piece while it is sent, because it
/// may be too large for the memory. A piece that fails ends the response, and the
/// client sees that it is incomplete.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>>>>;

/// The clients that receive a component's responses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Visibility {
    /// Any client, including browsers.
    Public,
    /// Other components only. Headers that protect browsers are omitted.
    Internal,
}

/// A handle to the request that is being handled. Cloning it is cheap.
#[derive(Clone)]
pub struct Context(Rc<Inner>);

struct Inner {
    component: &'static str,
    request_id: String,
    trace: Option<TraceParent>,
    timings: Rc<Timings>,
    user_id: Cell<Option<i32>>,
    is_counted: Cell<bool>,
    response_headers: RefCell<HeaderMap>,
    body: RefCell<Option<BodyStream>>,
}

impl Context {
    pub(super) fn new(
        component: &'static str,
        request_id: String,
        trace: Option<TraceParent>,
    ) -> Self {
        Self(Rc::new(Inner {
            component,
            request_id,
            trace,
            timings: Rc::default(),
            user_id: Cell::new(None),
            is_counted: Cell::new(true),
            response_headers: RefCell::default(),
            body: RefCell::default(),
        }))
    }

    /// Returns the component's name.
    pub fn component(&self) -> &'static str {
        self.0.component
    }

    /// Returns the value of the response's `X-Request-Id`.
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Returns the trace that the request belongs to.
    pub fn trace(&self) -> Option<&TraceParent> {
        self.0.trace.as_ref()
    }

    /// Returns the id of that trace.
    pub fn trace_id(&self) -> Option<&str> {
        self.trace().map(TraceParent::trace_id)
    }

    /// Returns the time that this request has spent in other servers.
    pub fn timings(&self) -> &Rc<Timings> {
        &self.0.timings
    }

    /// Returns the id of the user whose token was verified.
    pub fn user_id(&self) -> Option<i32> {
        self.0.user_id.get()
    }

    /// Records the user for the log, once the token is verified.
    pub fn set_user_id(&self, user_id: i32) {
        self.0.user_id.set(Some(user_id));
    }

    /// Leaves the request out of the metrics, whose flush would connect to Redis.
    pub fn do_not_count(&self) {
        self.0.is_counted.set(false);
    }

    pub(super) fn is_counted(&self) -> bool {
        self.0.is_counted.get()
    }

    /// Sets a header of the response, whether the handler succeeds or fails.
    pub fn set_header(&self, name: HeaderName, value: impl Into<HeaderValue>) {
        self.0
            .response_headers
            .borrow_mut()
            .insert(name, value.into());
    }

    /// Takes the headers that [`Context::set_header`] collected.
    pub(super) fn take_headers(&self) -> HeaderMap {
        self.0.response_headers.take()
    }

    /// Sets the body of the response, instead of the one that the handler returns.
    pub fn set_body(&self, body: BodyStream) {
        self.0.body.replace(Some(body));
    }

    /// Takes the body that [`Context::set_body`] set.
    pub(super) fn take_body(&self) -> Option<BodyStream> {
        self.0.body.take()
    }

    /// Writes a line to the log under this request's id.
    pub fn log(&self, level: log::Level, message: &str) {
        log::write(&log::Line {
            level,
            component: self.component(),
            request_id: self.request_id(),
            trace_id: self.trace_id(),
            message: Some(message),
            request: None,
        });
    }
}
