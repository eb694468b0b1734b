//! Operations that burn would spread over many tensors, each as one kernel with a handwritten gradient.
//!
//! Every file holds one operation: the function the layers call, its plain form in burn's own operations (used on every
//! backend but flex, and the yardstick of its tests), the kernel for flex, and the gradient for flex under autodiff.
//! Kernels work on plain slices, run in parallel over a split that does not depend on the number of threads, and never
//! reduce in an order that does. Nothing here knows a model.

pub(crate) mod attend;
pub(crate) mod attention;
pub(crate) mod buffer;
pub(crate) mod cross_entropy;
pub(crate) mod heads;
pub(crate) mod linear;
pub(crate) mod lora;
pub(crate) mod matrix;
pub(crate) mod rms_norm;
pub(crate) mod simd;
mod softmax;
pub(crate) mod swiglu;

#[cfg(test)]
mod check;
