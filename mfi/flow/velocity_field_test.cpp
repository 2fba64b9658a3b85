#include "mfi/flow/velocity_field.h"

#include <gtest/gtest.h>

#include "mfi/nn/gradient_check.h"

namespace mfi {

// Tests are named by what they are run with.
void PrintTo(const FlowArch& arch, std::ostream* out) {
  *out << "kind " << static_cast<int>(arch.kind) << " depth " << arch.depth << " kernel " << arch.kernel << " dilation "
       << arch.dilation;
}

namespace {

struct Sample {
  torch::Tensor z, v, r, t;
};

Sample random_sample(torch::Dtype type, int64_t channels) {
  torch::manual_seed(3);
  const auto z = torch::randn({5, channels, 4, 6}, type), v = torch::randn({5, channels, 4, 6}, type);
  return {z.contiguous(torch::MemoryFormat::ChannelsLast), v.contiguous(torch::MemoryFormat::ChannelsLast),
          torch::rand({5}, type) * 0.5, torch::rand({5}, type) * 0.5 + 0.5};
}

class NetworkFieldDerivative : public testing::TestWithParam<FlowArch> {
 protected:
  VelocityNetwork network() const {
    VelocityNetwork network(3, GetParam(), 0);
    randomise(network, 2);  // in float64
    return network;
  }
};

TEST_P(NetworkFieldDerivative, IsThatOfForwardModeDifferentiation) {
  const auto net = network();
  const NetworkField u(net);
  const auto [z, v, r, t] = random_sample(torch::kFloat64, 3);
  EXPECT_TRUE(
      torch::allclose(u.total_derivative(z, v, r, t), u.VelocityField::total_derivative(z, v, r, t), 1e-12, 1e-12));
}

// float32 rounds at 6e-8; sums over up to 150 inputs in up to four layers of values near 10.
TEST_P(NetworkFieldDerivative, IsThatOfForwardModeDifferentiationInFloat32) {
  auto net = network();
  net.to(torch::kFloat32);
  const NetworkField u(net);
  const auto [z, v, r, t] = random_sample(torch::kFloat32, 3);
  EXPECT_TRUE(
      torch::allclose(u.total_derivative(z, v, r, t), u.VelocityField::total_derivative(z, v, r, t), 1e-4, 1e-4));
}

TEST_P(NetworkFieldDerivative, LeavesItsInputsAloneAndCarriesNoGradient) {
  const auto net = network();
  const auto [z, v, r, t] = random_sample(torch::kFloat64, 3);
  const auto old_z = z.clone(), old_v = v.clone();
  EXPECT_FALSE(NetworkField(net).total_derivative(z, v, r, t).requires_grad());
  EXPECT_TRUE(torch::equal(z, old_z));
  EXPECT_TRUE(torch::equal(v, old_v));
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, NetworkFieldDerivative,
    testing::Values(FlowArch{.hidden = 6}, FlowArch{.hidden = 6, .depth = 2},
                    FlowArch{.kind = VelocityKind::pointwise, .hidden = 6}, FlowArch{.hidden = 6, .dilation = 2},
                    FlowArch{.hidden = 6, .kernel = 5}, FlowArch{.kind = VelocityKind::depthwise, .hidden = 6},
                    FlowArch{.kind = VelocityKind::depthwise, .hidden = 6, .depth = 2, .kernel = 5, .dilation = 2}));

}  // namespace
}  // namespace mfi
