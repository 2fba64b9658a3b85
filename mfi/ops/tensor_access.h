// How the operations in this folder look into tensors.
#pragma once

#include "mfi/core/torch.h"

#include <type_traits>
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

/// Whether activations are of a kind that the passes know: float32 or bfloat16, on a CPU.
inline bool has_passes(const torch::Tensor& x) {
  return x.is_cpu() && (x.scalar_type() == torch::kFloat32 || x.scalar_type() == torch::kBFloat16);
}

inline std::vector<int64_t> padding_of(const torch::Tensor& weight) { return {weight.size(2) / 2, weight.size(3) / 2}; }

}  // namespace mfi
