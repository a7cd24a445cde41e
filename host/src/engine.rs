//! Compiles components and links them to the interfaces that the host implements.

use anyhow::{Context, Result, anyhow};
use wasmtime::component::{Component, Linker};
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi::cli::{WasiCli, WasiCliView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::bindings::Imports;
use crate::logs;
use crate::manifest;
use crate::state::HostState;

/// Spin's setting for the number of instances that may exist at once.
const MAX_INSTANCES: &str = "SPIN_MAX_INSTANCE_COUNT";
/// Spin's default for it.
const DEFAULT_MAX_INSTANCES: u32 = 1_000;

/// Compiles and links components.
pub struct Compiler {
    engine: Engine,
    linker: Linker<HostState>,
}

impl Compiler {
    /// Creates the engine and the linker with the host's interfaces.
    pub fn new() -> Result<Self> {
        let engine = new_engine()?;
        let linker = new_linker(&engine)?;
        Ok(Self { engine, linker })
    }

    /// Compiles the component `id` and links it. The errors are for the operator.
    pub fn compile(
        &self,
        id: &str,
        component: &manifest::Component,
    ) -> Result<ServicePre<HostState>> {
        let source = component.source.display();
        let bytes = std::fs::read(&component.source).with_context(|| {
            let build = component.build.as_ref();
            let build = build.map_or("spin build", |build| &build.command);
            format!("component {id}: cannot read {source}: build it with `{build}`")
        })?;
        let compiled = Component::from_binary(&self.engine, &bytes).map_err(|error| {
            anyhow!("component {id}: {source} is not a WebAssembly component: {error:#}")
        })?;
        let linked = self.linker.instantiate_pre(&compiled).map_err(|error| {
            anyhow!(
                "component {id} imports something that the embedded host does not implement; \
                 run it with Spin: {error:#}"
            )
        })?;
        ServicePre::new(linked).map_err(|error| {
            anyhow!("component {id} does not export wasi:http/handler@0.3.0: {error:#}")
        })
    }
}

fn new_engine() -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    match Cache::from_file(None) {
        Ok(cache) => _ = config.cache(Some(cache)),
        Err(error) => logs::print_error(format_args!(
            "Each start compiles the components anew, since the cache cannot be used: {error:#}. \
             Set XDG_CACHE_HOME to a writable folder."
        )),
    }
    let pool = instance_pool(max_instances()?);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    // The pool reserves terabytes of address space. Where that is limited, allocate on demand.
    Engine::new(&config).or_else(|_| {
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Ok(Engine::new(&config)?)
    })
}

fn max_instances() -> Result<u32> {
    match std::env::var(MAX_INSTANCES) {
        Ok(value) => value
            .parse()
            .with_context(|| format!("{MAX_INSTANCES} must be a number, not {value:?}")),
        Err(_) => Ok(DEFAULT_MAX_INSTANCES),
    }
}

/// Returns Spin's sizes of the pool.
fn instance_pool(max_instances: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(max_instances)
        .total_memories(max_instances)
        .total_tables(2 * max_instances)
        .total_stacks(max_instances)
        .total_core_instances(4 * max_instances)
        .table_elements(100_000)
        .max_component_instance_size(10 << 20)
        .max_core_instance_size(10 << 20)
        .max_core_instances_per_component(200)
        .max_tables_per_component(64)
        .max_memories_per_component(32)
        .max_tables_per_module(2)
        .max_memories_per_module(2)
        .max_memory_size(4 << 30)
        .linear_memory_keep_resident(2 << 20)
        .table_keep_resident(512 << 10);
    pool
}

/// Links what Rust's standard library and spin-sdk import. The filesystem is among it because the
/// SDK's function for a Postgres root certificate imports it; components see no folder there.
fn new_linker(engine: &Engine) -> Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(l)?;
    cli::environment::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::exit::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_input::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_output::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdin::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stdout::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    cli::terminal_stderr::add_to_linker::<_, WasiCli>(l, HostState::cli)?;
    filesystem::preopens::add_to_linker::<_, WasiFilesystem>(l, HostState::filesystem)?;
    filesystem::types::add_to_linker::<_, WasiFilesystem>(l, HostState::filesystem)?;
    random::insecure_seed::add_to_linker::<_, WasiRandom>(l, HostState::random)?;
    wasmtime_wasi::p3::cli::add_to_linker(l)?;
    wasmtime_wasi::p3::clocks::add_to_linker(l)?;
    wasmtime_wasi::p3::random::add_to_linker(l)?;
    wasmtime_wasi_http::p3::add_to_linker(l)?;
    Imports::add_to_linker::<_, HostState>(l, |state| state)?;
    Ok(linker)
}
