//! The life of a component's instances: how many requests one serves, and when it is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::component::Component;
use crate::logs;
use crate::state::HostState;

// Spin's defaults.
const MAX_REQUESTS: usize = 128;
const MAX_CONCURRENT_REQUESTS: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Creates instances of one component.
pub struct Instances {
    component: Arc<Component>,
    pre: ServicePre<HostState>,
}

impl Instances {
    /// Creates instances of `component` from its linked code.
    pub fn new(component: Arc<Component>, pre: ServicePre<HostState>) -> Self {
        Self { component, pre }
    }
}

impl HandlerState for Instances {
    type StoreData = HostState;
    type WorkerExpiration = IdleTimeout;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<HostState, IdleTimeout, Reuse>> {
        let state = HostState::new(self.component.clone());
        let mut store = Store::new(self.pre.engine(), state);
        let service = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: HostState::http,
            expiration: IdleTimeout(Box::pin(tokio::time::sleep(IDLE_TIMEOUT))),
            state: Reuse,
        })
    }
}

/// Ends an instance that has been idle for [`IDLE_TIMEOUT`]. Requests have no timeout, as in Spin.
pub struct IdleTimeout(Pin<Box<Sleep>>);

impl WorkerExpiration for IdleTimeout {
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        if !matches!(status, WorkerStatus::Idle) {
            return Poll::Pending;
        }
        let sleep = &mut self.get_mut().0;
        let deadline = (start + IDLE_TIMEOUT).into();
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

/// Decides whether an instance takes another request.
pub struct Reuse;

impl WorkerState for Reuse {
    type StoreData = HostState;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= MAX_REQUESTS {
            ShouldAccept::Never
        } else if concurrent >= MAX_CONCURRENT_REQUESTS {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    /// Returns a request timeout that never fires.
    fn on_request_start(
        &self,
        _: StoreContextMut<'_, HostState>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<HostState>, result: wasmtime::Result<()>) {
        if let Err(error) = result {
            let id = &store.data().component.id;
            logs::print_error(format_args!("component {id} failed: {error:#}"));
        }
    }
}
