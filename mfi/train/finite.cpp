#include "mfi/train/finite.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#include "mfi/ops/parallel.h"

namespace mfi {
namespace {

// Of an infinite float or a NaN, and of no other, all bits of the exponent are set.
constexpr uint32_t kExponent = 0x7f80'0000;

bool floats_are_finite(const float* values, int64_t count) {
  // Several blocks a thread; between them it may stop.
  constexpr int64_t kBlock = 1 << 15;
  std::atomic<bool> finite{true};
  for_each_parallel((count + kBlock - 1) / kBlock, [&](int64_t block) {
    if (!finite.load(std::memory_order_relaxed)) return;
    const int64_t last = std::min(count, (block + 1) * kBlock);
    uint32_t bad = 0;  // without a branch, so that the compiler makes vectors of it
    for (int64_t i = block * kBlock; i < last; ++i) {
      uint32_t bits;
      std::memcpy(&bits, values + i, sizeof bits);
      bad |= (bits & kExponent) == kExponent ? 1 : 0;
    }
    if (bad) finite = false;
  });
  return finite;
}

bool is_plain(const torch::Tensor& tensor) {
  return tensor.is_cpu() && tensor.scalar_type() == torch::kFloat32 && tensor.is_non_overlapping_and_dense();
}

}  // namespace

bool all_finite(const torch::Tensor& tensor) {
  if (!tensor.is_floating_point() || tensor.numel() == 0) return true;
  torch::NoGradGuard no_grad;
  if (is_plain(tensor)) return floats_are_finite(tensor.const_data_ptr<float>(), tensor.numel());
  return at::isfinite(tensor).all().item<bool>();
}

std::string first_not_finite(const std::vector<std::pair<std::string, torch::Tensor>>& tensors) {
  torch::NoGradGuard no_grad;
  std::vector<std::string> names;
  std::vector<torch::Tensor> elsewhere;
  for (const auto& [name, tensor] : tensors) {
    if (tensor.is_cpu()) {
      if (!all_finite(tensor)) return name;
    } else if (tensor.is_floating_point() && tensor.numel() > 0) {
      names.push_back(name);
      elsewhere.push_back(at::isfinite(tensor).all());
    }
  }
  if (elsewhere.empty()) return "";
  const auto finite = torch::stack(elsewhere).to(torch::kCPU);
  for (size_t i = 0; i < names.size(); ++i)
    if (!finite[static_cast<int64_t>(i)].item<bool>()) return names[i];
  return "";
}

}  // namespace mfi
