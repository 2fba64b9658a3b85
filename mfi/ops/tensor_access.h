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

/// Whether an operation on activations `x` can use the passes and oneDNN's calls: x is float32 or bfloat16, on a CPU
/// and not empty, and neither it nor the other inputs (undefined ones aside) carry a tangent of forward-mode
/// differentiation, of which those know nothing.
inline bool has_passes(const torch::Tensor& x, std::initializer_list<torch::Tensor> others) {
  const auto has_tangent = [](const torch::Tensor& t) { return t.defined() && t._fw_grad(/*level=*/0).defined(); };
  return x.is_cpu() && x.numel() > 0 && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16) &&
         !has_tangent(x) && std::none_of(others.begin(), others.end(), has_tangent);
}

/// To be called by a backward pass that works on bare memory: its own derivative would silently lack that part.
inline void refuse_double_backward(const char* operation) {
  TORCH_CHECK(!torch::GradMode::is_enabled(), operation, " can be differentiated once only");
}

inline std::vector<int64_t> padding_of(const torch::Tensor& weight, int64_t dilation = 1) {
  return {dilation * (weight.size(2) / 2), dilation * (weight.size(3) / 2)};
}

}  // namespace mfi
