//! `spin:variables`.

use wasmtime::component::Accessor;

use crate::bindings::variables::{Error, Host, HostWithStore};
use crate::state::HostState;

impl Host for HostState {}

impl<T: Send> HostWithStore<T> for HostState {
    async fn get(accessor: &Accessor<T, Self>, name: String) -> Result<String, Error> {
        let component = accessor.with(|mut access| access.get().component.clone());
        let value = component.variables.get(&name).cloned();
        let undefined = || Error::Undefined(format!("no variable for {:?}.{name:?}", component.id));
        value.ok_or_else(undefined)
    }
}
