//! The WebAssembly engine, what it offers to components, and their compilation.

use anyhow::{Context, Result, anyhow, ensure};
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Cache, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::bindings;
use crate::instances::HostState;
use crate::manifest;

/// How many instances may live at once, unless the variable of Spin's says otherwise.
const MAX_INSTANCES: u32 = 1_000;
const MAX_INSTANCES_VARIABLE: &str = "SPIN_MAX_INSTANCE_COUNT";

/// An engine that keeps compiled code in the user's cache and takes instances from a pool.
pub fn new() -> Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    config.cache(Some(Cache::from_file(None)?));
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(max_instances()?)));
    // Without the address space that the pool reserves, instances are made one by one.
    Engine::new(&config).or_else(|_| {
        config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
        Ok(Engine::new(&config)?)
    })
}

fn max_instances() -> Result<u32> {
    match std::env::var(MAX_INSTANCES_VARIABLE) {
        Ok(value) => value
            .parse()
            .with_context(|| format!("{MAX_INSTANCES_VARIABLE} must be a number")),
        Err(_) => Ok(MAX_INSTANCES),
    }
}

fn pool(max_instances: u32) -> PoolingAllocationConfig {
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

/// Everything that a component may import.
pub fn linker(engine: &Engine) -> Result<Linker<HostState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    bindings::Imports::add_to_linker::<_, HostState>(&mut linker, |state| state)?;
    Ok(linker)
}

/// Compiles and links the components, all at the same time, in their order.
pub fn compile_all(
    engine: &Engine,
    linker: &Linker<HostState>,
    components: &[manifest::Component],
) -> Result<Vec<ProxyPre<HostState>>> {
    for component in components {
        ensure!(
            component.source.is_file(),
            "component {} is not built, {} is missing: run `{}`",
            component.id,
            component.source.display(),
            component.build.as_deref().unwrap_or("spin build")
        );
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = components
            .iter()
            .map(|component| scope.spawn(move || compile(engine, linker, component)))
            .collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread
                .join()
                .map_err(|_| anyhow!("the compiler panicked"))?
        };
        threads.into_iter().map(join).collect()
    })
}

fn compile(
    engine: &Engine,
    linker: &Linker<HostState>,
    component: &manifest::Component,
) -> Result<ProxyPre<HostState>> {
    let id = &component.id;
    let source = component.source.display();
    let compiled = Component::from_file(engine, &component.source).map_err(|error| {
        anyhow!("component {id}: {source} is not a WebAssembly component: {error:#}")
    })?;
    let linked: InstancePre<_> = linker.instantiate_pre(&compiled).map_err(|error| {
        anyhow!("component {id} imports something that this host does not offer: {error:#}")
    })?;
    let service = ServicePre::new(linked).map_err(anyhow::Error::from);
    let service = service
        .with_context(|| format!("component {id} does not export wasi:http/handler@0.3.0"))?;
    Ok(ProxyPre::P3(service))
}
