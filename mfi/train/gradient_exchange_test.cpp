#include "mfi/train/gradient_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mfi/distributed/test_processes.h"

namespace mfi {
namespace {

using testing::Each;

// Parameters of different sizes and strides, and a loss that is a mean over samples; `unused` has no part in it.
struct Model {
  torch::Tensor conv, bias, linear, unused;

  Model() {
    torch::manual_seed(1);
    conv = torch::randn({6, 3, 3, 3}).contiguous(torch::MemoryFormat::ChannelsLast).requires_grad_();
    bias = torch::randn({6}).requires_grad_();
    linear = torch::randn({4, 6}).requires_grad_();
    unused = torch::randn({5}).requires_grad_();
  }
  std::vector<torch::Tensor> parameters() const { return {conv, bias, unused, linear}; }
  torch::Tensor loss(const torch::Tensor& x) const {
    return at::linear(at::conv2d(x, conv, bias).relu().mean({2, 3}), linear).square().mean();
  }
};

torch::Tensor samples() {
  torch::manual_seed(2);
  return torch::randn({8, 3, 6, 6});
}

// Two backward passes with the gradients of each against those of the whole batch.
void expect_the_whole_batchs_gradients(Processes& processes, int64_t bucket_bytes) {
  Model alone, together;
  const auto x = samples();
  const auto share = processes.share();
  const auto own = x.slice(0, share.index, x.size(0), share.count);
  GradientExchange exchange(together.parameters(), processes, bucket_bytes);
  EXPECT_EQ(exchange.bucket_count(), bucket_bytes < 64 ? 4u : 1u);
  for (int pass = 0; pass < 2; ++pass) {
    for (auto* model : {&alone, &together})
      for (auto& parameter : model->parameters()) parameter.mutable_grad().reset();
    alone.loss(x).backward();
    (together.loss(own) * (static_cast<double>(own.size(0)) / static_cast<double>(x.size(0)))).backward();
    exchange.finish();
    for (size_t i = 0; i < alone.parameters().size(); ++i) {
      const auto expected = alone.parameters()[i].grad(), actual = together.parameters()[i].grad();
      ASSERT_EQ(expected.defined(), actual.defined()) << "parameter " << i;
      // float32 sums of some hundred products in another order.
      if (expected.defined()) {
        EXPECT_TRUE(torch::allclose(actual, expected, 1e-5, 1e-6)) << "parameter " << i;
      }
    }
  }
}

class GradientExchangeOf : public testing::TestWithParam<int64_t> {};

// 8 samples: even shares with 1 and 2 processes, uneven ones with 3.
TEST_P(GradientExchangeOf, GivesTheGradientsOfTheWholeBatch) {
  for (const int64_t bucket_bytes : {int64_t{1}, GradientExchange::kBucketBytes})
    EXPECT_THAT(
        run_processes(GetParam(),
                      [=](Processes& processes) { expect_the_whole_batchs_gradients(processes, bucket_bytes); }),
        Each(0));
}

INSTANTIATE_TEST_SUITE_P(Numbers, GradientExchangeOf, testing::Values(1, 2, 3));

}  // namespace
}  // namespace mfi
