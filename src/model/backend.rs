//! From the plain-data [`DeviceSpec`] to a device of burn: the one place that chooses a backend.
//!
//! It never uses burn's default device, which an environment variable could change behind the action key's back.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::{Device, Tensor, TensorData};

use super::error::ModelError;
use super::fused::buffer::numbers;
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

/// Opens the device `spec` names and multiplies two small matrices on it, whose product is exact in any float format.
///
/// # Errors
/// [`ModelError::BackendNotBuilt`]; [`ModelError::Device`] when the backend panics, as wgpu does without an adapter, or when
/// the product is wrong.
pub fn probe_device(spec: DeviceSpec) -> Result<(), ModelError> {
    let product = || -> Result<Vec<f32>, ModelError> {
        let device = open(spec)?;
        let matrix = |numbers: [f32; 4]| Tensor::<2>::from_data(TensorData::new(numbers.to_vec(), [2, 2]), &device);
        Ok(numbers(matrix([1.0, 2.0, 3.0, 4.0]).matmul(matrix([5.0, 6.0, 7.0, 8.0]))))
    };
    let failed = |reason: String| ModelError::Device { backend: spec.backend, reason };
    let found = surviving(product).map_err(failed)??;
    if found == [19.0, 22.0, 43.0, 50.0] {
        return Ok(());
    }
    Err(failed(format!("the product of two matrices is `{found:?}`; expected `[19.0, 22.0, 43.0, 50.0]`")))
}

/// What `work` gives, or the words it panicked with.
fn surviving<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| said(&*payload))
}

fn said(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_backend_that_is_built_in_multiplies_and_the_others_say_how_to_build_them() {
        probe_device(DeviceSpec { backend: Backend::Flex }).expect("flex works everywhere");
        for backend in Backend::ALL.into_iter().filter(|backend| !backend.is_built_in()) {
            let error = probe_device(DeviceSpec { backend }).expect_err("not built in");
            assert!(error.to_string().contains(&format!("--features {backend}")), "{error}");
        }
    }

    #[test]
    fn a_panic_is_survived_with_its_words() {
        assert_eq!(surviving(|| 1), Ok(1));
        assert_eq!(surviving(|| panic!("no adapter")), Err::<(), _>("no adapter".to_owned()));
        assert_eq!(surviving(|| panic!("{} adapters", 0)), Err::<(), _>("0 adapters".to_owned()));
        let mute = surviving(|| std::panic::panic_any(7));
        assert_eq!(mute, Err::<(), _>("it panicked without a word".to_owned()));
    }
}
