// How the operations in this folder look into tensors.
#pragma once

#include "mfi/core/torch.h"

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "mfi/ops/channel_passes.h"

namespace mfi {

/// The first value; null for an undefined tensor.
template <class T>
const T* data(const torch::Tensor& t) {
  return t.defined() ? static_cast<const T*>(t.const_data_ptr()) : nullptr;
}
template <class T>
T* mutable_data(const torch::Tensor& t) {
  return t.defined() ? static_cast<T*>(t.mutable_data_ptr()) : nullptr;
}

/// `pointer` moved on by `offset` values; null stays null.
template <class T>
T* at_value(T* pointer, int64_t offset) {
  return pointer ? pointer + offset : nullptr;
}

/// Calls f with a value of the type that the passes know float32 or bfloat16 activations by.
template <class F>
auto with_element(torch::Dtype type, const F& f) {
  return type == torch::kFloat32 ? f(float{}) : f(Bf16Bits{});
}

/// Whether activations are of a kind that the passes know: float32 or bfloat16, on a CPU, and not empty.
inline bool has_passes(const torch::Tensor& x) {
  return x.is_cpu() && x.numel() > 0 && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16);
}

/// Whether any of them carries a tangent of forward-mode differentiation, of which the passes and oneDNN's calls know
/// nothing. Undefined tensors carry none.
inline bool has_tangent(std::initializer_list<torch::Tensor> tensors) {
  return std::any_of(tensors.begin(), tensors.end(),
                     [](const torch::Tensor& t) { return t.defined() && t._fw_grad(/*level=*/0).defined(); });
}

/// To be called by a backward pass that works on bare memory: its own derivative would silently lack that part.
inline void refuse_double_backward(const char* operation) {
  TORCH_CHECK(!torch::GradMode::is_enabled(), operation, " can be differentiated once only");
}

inline std::vector<int64_t> padding_of(const torch::Tensor& weight) { return {weight.size(2) / 2, weight.size(3) / 2}; }

}  // namespace mfi
