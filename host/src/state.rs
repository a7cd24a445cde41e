//! The host's state for one instance.

use std::sync::Arc;

use wasmtime::component::{HasData, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::component::Component;
use crate::outbound_http::OutboundHttp;

/// The host's state for one instance. The interfaces are implemented for this type.
pub struct HostState {
    /// The component that this is an instance of.
    pub component: Arc<Component>,
    /// Resources that the instance holds.
    pub table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound_http: OutboundHttp,
}

impl HostState {
    /// Creates the state of a new instance of `component`.
    pub fn new(component: Arc<Component>) -> Self {
        // Without further settings there are no environment variables, files and sockets.
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(component.logs.stdout.clone());
        wasi.stderr(component.logs.stderr.clone());
        Self {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            outbound_http: OutboundHttp::new(component.clone()),
            component,
        }
    }
}

impl HasData for HostState {
    type Data<'a> = &'a mut HostState;
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
