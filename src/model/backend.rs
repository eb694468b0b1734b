//! From the plain-data [`DeviceSpec`] to a device of burn: the one place that chooses a backend.
//!
//! It never uses burn's default device, which an environment variable could change behind the action key's back.

use burn::tensor::Device;

use super::error::ModelError;
use crate::device::{Backend, DeviceSpec};

/// Opens the device `spec` names, without automatic differentiation.
///
/// # Errors
/// [`ModelError::BackendNotBuilt`] when the binary lacks the backend; the message says how to build it.
pub(crate) fn open(spec: DeviceSpec) -> Result<Device, ModelError> {
    match spec.backend {
        Backend::Flex => Ok(Device::flex()),
        #[cfg(feature = "ndarray")]
        #[expect(deprecated, reason = "upstream deprecates the backend; the product keeps it")]
        Backend::NdArray => Ok(Device::ndarray()),
        #[cfg(feature = "wgpu")]
        Backend::Wgpu => Ok(Device::wgpu(burn::tensor::DeviceKind::DefaultDevice)),
        #[cfg(not(all(feature = "ndarray", feature = "wgpu")))]
        backend => Err(ModelError::BackendNotBuilt { backend }),
    }
}
