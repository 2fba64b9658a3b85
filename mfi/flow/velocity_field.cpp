#include "mfi/flow/velocity_field.h"

#include <torch/csrc/autograd/forward_grad.h>

namespace mfi {
namespace {

// A level of forward-mode differentiation; tangents on it vanish with the object.
class DualLevel {
 public:
  DualLevel() : index_(torch::autograd::ForwardADLevel::get_next_idx()) {}
  ~DualLevel() { torch::autograd::ForwardADLevel::release_idx(index_); }
  DualLevel(const DualLevel&) = delete;
  DualLevel& operator=(const DualLevel&) = delete;

  torch::Tensor dual(const torch::Tensor& primal, const torch::Tensor& tangent) const {
    return at::_make_dual(primal, tangent, static_cast<int64_t>(index_));
  }

  torch::Tensor tangent(const torch::Tensor& dual) const {
    const auto tangent = std::get<1>(at::_unpack_dual(dual, static_cast<int64_t>(index_)));
    return tangent.defined() ? tangent : torch::zeros_like(dual);  // none: it does not depend on z and t
  }

 private:
  uint64_t index_;
};

}  // namespace

torch::Tensor VelocityField::total_derivative(const torch::Tensor& z, const torch::Tensor& v, const torch::Tensor& r,
                                              const torch::Tensor& t) const {
  torch::NoGradGuard no_grad;
  const DualLevel level;
  return level.tangent((*this)(level.dual(z, v), r, level.dual(t, torch::ones_like(t))));
}

}  // namespace mfi
