#include "mfi/ops/depthwise.h"

#include <gtest/gtest.h>

#include "mfi/ops/conv_bias.h"
#include "mfi/ops/tensor_access.h"
#include "mfi/ops/test_difference.h"

namespace mfi {
namespace {

// Sizes below the kernel's reach, and channels that fill no register, among them.
std::vector<DepthwiseShape> shapes() {
  std::vector<DepthwiseShape> out;
  for (const int64_t kernel : {3, 5, 7})
    for (const int64_t dilation : {1, 2, 4})
      for (const int64_t channels : {1, 26, 32}) out.push_back({5, channels, 7, 4, kernel, dilation});
  out.push_back({2, 104, 1, 1, 5, 2});
  out.push_back({1, 16, 20, 20, 5, 1});
  return out;
}

std::string text(const DepthwiseShape& s) {
  std::ostringstream out;
  out << s.channels << " channels, " << s.height << " x " << s.width << ", kernel " << s.kernel << ", dilation "
      << s.dilation;
  return out.str();
}

torch::Tensor activations(const DepthwiseShape& s) {
  return torch::randn({s.batch, s.channels, s.height, s.width}).to(torch::kBFloat16);
}

torch::Tensor exact_gradient(const DepthwiseShape& s, const torch::Tensor& x, const torch::Tensor& dy) {
  const auto weight = torch::zeros({s.channels, 1, s.kernel, s.kernel}, torch::kFloat64).requires_grad_();
  const int64_t padding = s.kernel / 2 * s.dilation;
  const auto y =
      at::conv2d(x.to(torch::kFloat64), weight, {}, {1, 1}, {padding, padding}, {s.dilation, s.dilation}, s.channels);
  (y * dy.to(torch::kFloat64)).sum().backward();
  return weight.grad();
}

// Products of bfloat16 numbers are exact in float32: what differs are sums of up to 400 of them.
TEST(DepthwiseWeightGradient, IsThatOfLibTorchsOperatorInFloat64) {
  torch::manual_seed(2);
  for (const auto& s : shapes()) {
    const auto x = activations(s), dy = activations(s);
    const auto expected = exact_gradient(s, x, dy);
    for (const auto type : {torch::kFloat32, torch::kBFloat16}) {
      const auto typed_x = x.to(type).contiguous(torch::MemoryFormat::ChannelsLast),
                 typed_dy = dy.to(type).contiguous(torch::MemoryFormat::ChannelsLast);
      auto actual = torch::full({s.channels, 1, s.kernel, s.kernel}, 7.0f);
      with_element(type, [&]<class T>(T) {
        depthwise_weight_gradient<T>(s, data<T>(typed_x), data<T>(typed_dy), mutable_data<float>(actual));
      });
      EXPECT_LT(largest_difference(actual, expected), 1e-5) << text(s);
    }
  }
}

TEST(DepthwiseWeightGradient, GivesTheSameBitsEachTime) {
  torch::manual_seed(2);
  const DepthwiseShape s{9, 26, 8, 8, 5, 2};
  const auto x = activations(s).contiguous(torch::MemoryFormat::ChannelsLast),
             dy = activations(s).contiguous(torch::MemoryFormat::ChannelsLast);
  const auto run = [&] {
    auto out = torch::empty({s.channels, 1, s.kernel, s.kernel});
    depthwise_weight_gradient<Bf16Bits>(s, data<Bf16Bits>(x), data<Bf16Bits>(dy), mutable_data<float>(out));
    return out;
  };
  EXPECT_TRUE(torch::equal(run(), run()));
}

// ---- Grouped and dilated convolutions as layers ----

struct Layer {
  int64_t in, groups, kernel, stride, dilation, size;
};

std::vector<Layer> layers() {
  return {{32, 32, 3, 1, 1, 16}, {26, 26, 5, 1, 1, 8}, {16, 16, 7, 1, 1, 4},  {26, 26, 3, 1, 2, 8},
          {24, 24, 5, 1, 4, 8},  {32, 1, 3, 1, 2, 16}, {25, 1, 5, 1, 1, 4},   {16, 1, 5, 1, 4, 8},
          {16, 4, 3, 1, 1, 8},   {16, 16, 3, 2, 1, 9}, {16, 16, 11, 1, 1, 12}};
}

struct LayerTrial {
  torch::Tensor x, weight, bias, out;

  LayerTrial(const Layer& layer, torch::Dtype type, bool learns, bool of_samples) {
    torch::manual_seed(4);
    const auto rounded = [](torch::IntArrayRef sizes) {
      return torch::randn(sizes).to(torch::kBFloat16).to(torch::kFloat32);
    };
    x = rounded({3, layer.in, layer.size, layer.size})
            .to(type)
            .contiguous(torch::MemoryFormat::ChannelsLast)
            .requires_grad_();
    weight = rounded({layer.in, layer.in / layer.groups, layer.kernel, layer.kernel}).requires_grad_(learns);
    bias =
        rounded(of_samples ? std::vector<int64_t>{3, layer.in} : std::vector<int64_t>{layer.in}).requires_grad_(learns);
  }
};

void expect_layers_agree(torch::Dtype type, double tolerance) {
  for (const auto& layer : layers())
    for (const bool learns : {false, true})
      for (const bool of_samples : {false, true}) {
        LayerTrial ours(layer, type, learns, of_samples), reference(layer, torch::kFloat32, learns, of_samples);
        const ConvGrid grid(layer.stride, layer.dilation);
        const bool relu = type == torch::kFloat32;  // in bfloat16 a value may round to the other side of zero
        ours.out = conv_bias(ours.x, ours.weight, ours.bias, grid, {}, relu);
        reference.out = conv_bias_reference(reference.x, reference.weight, reference.bias, grid, {}, relu);
        const auto upstream = torch::randn(ours.out.sizes()).to(torch::kBFloat16).to(torch::kFloat32);
        (ours.out.to(torch::kFloat32) * upstream).sum().backward();
        (reference.out * upstream).sum().backward();
        SCOPED_TRACE(testing::Message() << layer.in << " channels, " << layer.groups << " groups, kernel "
                                        << layer.kernel << ", stride " << layer.stride << ", dilation "
                                        << layer.dilation << (learns ? ", learning" : "")
                                        << (of_samples ? ", biases of samples" : ""));
        EXPECT_LT(largest_difference(ours.out, reference.out), tolerance);
        EXPECT_LT(largest_difference(ours.x.grad(), reference.x.grad()), tolerance);
        if (!learns) continue;
        EXPECT_LT(largest_difference(ours.weight.grad(), reference.weight.grad()), tolerance);
        EXPECT_LT(largest_difference(ours.bias.grad(), reference.bias.grad()), tolerance);
      }
}

TEST(GroupedAndDilatedConvBias, AgreesWithTheReferenceInFloat32) { expect_layers_agree(torch::kFloat32, 2e-5); }

// Results round to 8 bits.
TEST(GroupedAndDilatedConvBias, AgreesWithTheReferenceInBfloat16) { expect_layers_agree(torch::kBFloat16, 1e-2); }

TEST(GroupedAndDilatedConvBias, CarriesTangentsAsTheReferenceDoes) {
  torch::manual_seed(6);
  for (const auto& layer : layers()) {
    if (layer.stride != 1) continue;
    const auto both = torch::randn({6, layer.in, layer.size, layer.size}).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto weight = torch::randn({layer.in, layer.in / layer.groups, layer.kernel, layer.kernel}),
               bias = torch::randn({6, layer.in});
    const ConvGrid grid(1, layer.dilation);
    EXPECT_LT(largest_difference(conv_relu_with_tangents(both, weight, bias, grid),
                                 conv_relu_with_tangents_reference(both, weight, bias, grid)),
              2e-5);
  }
}

}  // namespace
}  // namespace mfi
