//! Between flex's tensors and the slices the kernels work on.

use burn::backend::DispatchDevice;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Device, Tensor, TensorData};

/// Whether kernels exist for the backend of `tensor`; if not, the plain form is used.
pub(crate) fn has_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    kernels_exist(&tensor.device())
}

/// The same of a device.
pub(crate) fn kernels_exist(device: &Device) -> bool {
    if let DispatchDevice::Autodiff(inner) = device.as_dispatch() {
        matches!(**inner, DispatchDevice::Flex(_))
    } else {
        matches!(device.as_dispatch(), DispatchDevice::Flex(_))
    }
}

/// The numbers of a contiguous tensor that covers its buffer.
pub(crate) fn slice(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("kernels are given contiguous f32 tensors; `contiguous` makes them so")
}

/// The same tensor, copied only if it is a view.
pub(crate) fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

/// A tensor that owns `numbers`.
pub(crate) fn tensor<const D: usize>(numbers: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(numbers, shape))
}

/// The numbers of any f32 tensor, without a copy where it is the only handle on its buffer.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("weights, activations and gradients are f32")
}

/// The two dimensions of a matrix.
pub(crate) fn dimensions(tensor: &FlexTensor) -> [usize; 2] {
    let shape = tensor.layout().shape();
    assert_eq!(shape.num_dims(), 2, "kernels work on matrices");
    [shape[0], shape[1]]
}
