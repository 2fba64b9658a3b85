#include "mfi/train/gradient_exchange.h"

#include <torch/csrc/autograd/utils/lambda_post_hook.h>
#include <torch/csrc/autograd/variable.h>

namespace mfi {
namespace {

using torch::autograd::variable_list;

}  // namespace

GradientExchange::GradientExchange(const std::vector<torch::Tensor>& parameters, Processes& processes,
                                   int64_t bucket_bytes)
    : processes_(processes) {
  for (auto parameter = parameters.rbegin(); parameter != parameters.rend(); ++parameter) {
    TORCH_INTERNAL_ASSERT(parameter->scalar_type() == torch::kFloat32 && parameter->is_non_overlapping_and_dense());
    const auto bytes = static_cast<int64_t>(parameter->nbytes());
    if (buckets_.empty() || buckets_.back().flat.numel() * 4 + bytes > bucket_bytes) {
      buckets_.emplace_back();
      buckets_.back().flat = torch::empty({0});  // only its size counts until all are known
    }
    auto& bucket = buckets_.back();
    bucket.slots.push_back({*parameter, {}, {}, 0, false});
    bucket.flat = torch::empty({bucket.flat.numel() + parameter->numel()});
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    auto& bucket = buckets_[b];
    // On the CPU, where Gloo works; gradients on a GPU go there and back.
    bucket.flat = torch::zeros({bucket.flat.numel()});
    bucket.missing = bucket.slots.size();
    int64_t begin = 0;
    for (size_t s = 0; s < bucket.slots.size(); ++s) {
      auto& slot = bucket.slots[s];
      slot.view = bucket.flat.as_strided(slot.parameter.sizes(), slot.parameter.strides(), begin);
      begin += slot.parameter.numel();
      slot.accumulator = torch::autograd::impl::grad_accumulator(slot.parameter);
      slot.hook = slot.accumulator->add_post_hook(std::make_unique<torch::autograd::utils::LambdaPostHook>(
          [this, b, s](const variable_list& outputs, const variable_list&) {
            arrive(b, s);
            return outputs;
          }));
    }
  }
}

GradientExchange::~GradientExchange() {
  for (const auto& bucket : buckets_)
    for (const auto& slot : bucket.slots) slot.accumulator->del_post_hook(slot.hook);
}

// Runs on the thread of the backward pass.
void GradientExchange::arrive(size_t bucket, size_t slot) {
  torch::NoGradGuard no_grad;
  auto& filled = buckets_[bucket];
  auto& arrived = filled.slots[slot];
  TORCH_INTERNAL_ASSERT(!arrived.arrived, "a second backward pass before finish()");
  arrived.view.copy_(arrived.parameter.grad());
  arrived.arrived = true;
  --filled.missing;
  start_full_ones();
}

void GradientExchange::start_full_ones() {
  for (; next_ < buckets_.size() && buckets_[next_].missing == 0; ++next_)
    buckets_[next_].pending = processes_.sum_later(buckets_[next_].flat);
}

void GradientExchange::finish() {
  torch::NoGradGuard no_grad;
  for (auto& bucket : buckets_) {
    for (auto& slot : bucket.slots)
      if (!slot.arrived) slot.view.zero_();
    bucket.missing = 0;
  }
  start_full_ones();
  next_ = 0;
  for (auto& bucket : buckets_) {
    processes_.wait(bucket.pending);
    bucket.pending.reset();
    bucket.missing = bucket.slots.size();
    for (auto& slot : bucket.slots) {
      if (!std::exchange(slot.arrived, false)) continue;
      if (slot.parameter.device() == slot.view.device())
        slot.parameter.mutable_grad() = slot.view;
      else
        slot.parameter.mutable_grad().copy_(slot.view);
    }
  }
}

}  // namespace mfi
