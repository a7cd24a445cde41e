//! Component instances: what one holds, how many requests it serves, and when it is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use wasmtime::component::{GuestTaskId, HasData, ResourceTable};
use wasmtime::{Store, StoreContextMut, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::sockets::SocketAddrUse;
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, ProxyPre, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::app::Component;
use crate::outbound_http::OutboundHttp;

/// How many requests one instance serves before it is dropped.
const REQUESTS_PER_INSTANCE: usize = 128;
/// How many requests one instance serves at the same time.
const CONCURRENT_REQUESTS: usize = 16;
/// How long an instance without requests is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// What the host keeps for one instance.
pub struct HostState {
    /// The component that this is an instance of.
    pub component: Arc<Component>,
    /// Resources that the instance holds.
    pub table: ResourceTable,
    /// How many Postgres connections are in `table`.
    pub postgres_connections: usize,
    /// How many Redis connections are in `table`.
    pub redis_connections: usize,
    limits: StoreLimits,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound_http: OutboundHttp,
}

/// The host interfaces are implemented for [`HostState`] itself.
impl HasData for HostState {
    type Data<'a> = &'a mut HostState;
}

impl HostState {
    fn new(component: Arc<Component>) -> Self {
        let mut limits = StoreLimitsBuilder::new();
        if let Some(bytes) = component.max_instance_memory {
            limits = limits.memory_size(bytes);
        }
        Self {
            table: ResourceTable::new(),
            postgres_connections: 0,
            redis_connections: 0,
            limits: limits.build(),
            wasi: wasi(&component),
            http: WasiHttpCtx::new(),
            outbound_http: OutboundHttp::new(component.clone()),
            component,
        }
    }
}

fn wasi(component: &Arc<Component>) -> WasiCtx {
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(component.logs.stdout.clone());
    wasi.stderr(component.logs.stderr.clone());
    for (name, value) in &component.environment {
        wasi.env(name, value);
    }
    let component = component.clone();
    wasi.socket_addr_check(move |address, purpose| {
        let scheme = match purpose {
            SocketAddrUse::TcpBind => None,
            SocketAddrUse::TcpConnect => Some("tcp"),
            _ => Some("udp"),
        };
        let allowed = scheme
            .is_some_and(|scheme| component.allowed_hosts.allows(&address.to_string(), scheme));
        Box::pin(async move { allowed })
    });
    wasi.build()
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound_http,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Makes instances of one component.
pub struct Instances {
    component: Arc<Component>,
    pre: ProxyPre<HostState>,
}

impl Instances {
    /// Instances of `component` from its linked code.
    pub fn new(component: Arc<Component>, pre: ProxyPre<HostState>) -> Self {
        Self { component, pre }
    }
}

impl HandlerState for Instances {
    type StoreData = HostState;
    type WorkerExpiration = IdleTimeout;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<HostState, IdleTimeout, Reuse>> {
        let state = HostState::new(self.component.clone());
        let mut store = Store::new(self.component.engine(), state);
        store.limiter(|state| &mut state.limits);
        let proxy = self.pre.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy,
            view: HostState::http,
            expiration: IdleTimeout(Box::pin(tokio::time::sleep(IDLE_TIMEOUT))),
            state: Reuse,
        })
    }
}

/// Ends an instance that has been idle for [`IDLE_TIMEOUT`]. Requests have no timeout.
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

/// The rule by which an instance takes further requests.
pub struct Reuse;

impl WorkerState for Reuse {
    type StoreData = HostState;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= REQUESTS_PER_INSTANCE {
            ShouldAccept::Never
        } else if concurrent >= CONCURRENT_REQUESTS {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

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
            eprintln!("component {} failed: {error:#}", store.data().component.id);
        }
    }
}
