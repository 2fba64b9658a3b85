#include "mfi/ops/conv_bias.h"

#include <gtest/gtest.h>

#include "mfi/ops/test_difference.h"

namespace mfi {
namespace {

struct Case {
  int64_t batch, in, out, kernel, stride, size;
  bool bias, shortcut, relu;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.batch << " x " << c.in << " -> " << c.out << " channels, kernel " << c.kernel << ", stride "
             << c.stride << ", " << c.size << " x " << c.size << (c.bias ? ", bias" : "")
             << (c.shortcut ? ", shortcut" : "") << (c.relu ? ", ReLU" : "");
}

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const bool bias : {false, true})
    for (const bool shortcut : {false, true})
      for (const bool relu : {false, true}) {
        out.push_back({4, 3, 16, 3, 1, 32, bias, shortcut, relu});
        for (const auto& [width, size] : {std::pair{16, 32}, std::pair{64, 8}, std::pair{128, 4}}) {
          out.push_back({4, width, width, 3, 1, size, bias, shortcut, relu});
          out.push_back({4, width, 2 * width, 1, 2, size, bias, shortcut, relu});
        }
        for (const int64_t in : {1, 5}) out.push_back({2, in, 1, 3, 1, 4, bias, shortcut, relu});
        for (const int64_t kernel : {1, 3}) out.push_back({2, 1, 4, kernel, 1, 5, bias, shortcut, relu});
        for (const int64_t batch : {1, 2}) {
          out.push_back({batch, 5, 7, 3, 2, 9, bias, shortcut, relu});
          out.push_back({batch, 26, 104, 1, 1, 7, bias, shortcut, relu});
          out.push_back(
              {batch, 16, 64, 1, 1, 1, bias, shortcut, relu});  // single pixels: any order of strides is dense
          out.push_back({batch, 8, 12, 3, 1, 1, bias, shortcut, relu});
        }
      }
  return out;
}

struct Trial {
  torch::Tensor x, shortcut, weight, bias, upstream, out;
  Case c;

  Trial(const Case& c, torch::Dtype type, bool inputs_learn = true) : c(c) {
    torch::manual_seed(3);
    const auto tensor = [&](torch::IntArrayRef sizes) {
      return torch::randn(sizes).to(torch::kBFloat16).to(type).contiguous(torch::MemoryFormat::ChannelsLast);
    };
    const int64_t size = (c.size + c.stride - 1) / c.stride;
    x = tensor({c.batch, c.in, c.size, c.size}).requires_grad_(inputs_learn);
    if (c.shortcut) shortcut = tensor({c.batch, c.out, size, size}).requires_grad_(inputs_learn);
    weight = torch::randn({c.out, c.in, c.kernel, c.kernel}).to(torch::kBFloat16).to(torch::kFloat32);
    weight = weight.contiguous(torch::MemoryFormat::ChannelsLast);
    if (c.bias) bias = torch::randn({c.out}).to(torch::kBFloat16).to(torch::kFloat32);
    upstream = tensor({c.batch, c.out, size, size});
  }

  template <class Operation, class... Rest>
  Trial& run(const Operation& operation, const Rest&... rest) {
    out = operation(x, weight, bias, c.stride, shortcut, c.relu, rest...);
    if (out.requires_grad()) (out * upstream).sum().backward();
    return *this;
  }
};

void expect_close(const Trial& ours, const Trial& reference, double tolerance) {
  EXPECT_LT(largest_difference(ours.out, reference.out), tolerance) << ours.c;
  if (!ours.x.requires_grad()) return;
  EXPECT_LT(largest_difference(ours.x.grad(), reference.x.grad()), tolerance) << ours.c << ": gradient of x";
  if (ours.c.shortcut) {
    EXPECT_LT(largest_difference(ours.shortcut.grad(), reference.shortcut.grad()), tolerance)
        << ours.c << ": gradient of the shortcut";
  }
}

// As what index_select leaves: LibTorch's call for a sum wants it channels-last.
TEST(ConvBias, TakesAnInputOfAnotherOrder) {
  for (const auto type : {torch::kFloat32, torch::kBFloat16}) {
    const Case c{2, 8, 16, 1, 1, 5, false, true, false};
    Trial ours(c, type, false), reference(c, torch::kFloat32, false);
    ours.x = ours.x.contiguous();
    EXPECT_LT(largest_difference(ours.run(conv_bias, KeptWeightsPtr()).out, reference.run(conv_bias_reference).out),
              2e-2);
  }
}

TEST(ConvBias, AgreesWithTheReferenceInFloat32) {
  for (const auto& c : cases())
    for (const bool inputs_learn : {false, true})
      expect_close(Trial(c, torch::kFloat32, inputs_learn).run(conv_bias, KeptWeightsPtr()),
                   Trial(c, torch::kFloat32, inputs_learn).run(conv_bias_reference), 2e-5);
}

// Against the float32 reference on the same bfloat16 numbers. With ReLU only the results are compared: a
// value that rounds to the other side of zero switches a gradient on or off.
TEST(ConvBias, AgreesWithTheReferenceInBfloat16) {
  for (const auto& c : cases())
    for (const bool inputs_learn : {false, true}) {
      if (c.relu && inputs_learn) continue;
      expect_close(Trial(c, torch::kBFloat16, inputs_learn).run(conv_bias, KeptWeightsPtr()),
                   Trial(c, torch::kFloat32, inputs_learn).run(conv_bias_reference), 4e-2);
    }
}

// What is kept of a weight serves its next calls, forward and backward, until the weight changes, by whatever way.
TEST(ConvBias, UsesWhatItKeptOfAWeightUntilThatChanges) {
  for (const auto type : {torch::kFloat32, torch::kBFloat16})
    for (const Case& c : {Case{4, 64, 64, 3, 1, 8, true, true, true}, Case{4, 16, 32, 1, 2, 8, true, false, false}}) {
      const auto kept = c10::make_intrusive<KeptWeights>();
      Trial trial(c, type);
      const auto expect_fresh_results = [&](const char* when) {
        SCOPED_TRACE(when);
        trial.x.mutable_grad().reset();
        trial.run(conv_bias, kept);
        const auto out = trial.out, gradient = trial.x.grad().clone();
        trial.x.mutable_grad().reset();
        trial.run(conv_bias, KeptWeightsPtr());
        EXPECT_TRUE(torch::equal(out, trial.out));
        EXPECT_TRUE(torch::equal(gradient, trial.x.grad()));
      };
      expect_fresh_results("first");
      expect_fresh_results("again");
      trial.weight.mul_(2);
      expect_fresh_results("changed in place");
      trial.weight = torch::randn_like(trial.weight);
      expect_fresh_results("another tensor");
      trial.weight.set_data(torch::randn_like(trial.weight));
      expect_fresh_results("other memory");
    }
}

// Against the plain operators.
TEST(ConvReluWithTangents, IsTheLayerAndItsDerivative) {
  torch::manual_seed(5);
  for (const auto& [in, out, kernel, size] : {std::array<int64_t, 4>{16, 16, 3, 8}, {3, 5, 3, 7}, {32, 25, 1, 4}}) {
    const auto tensor = [](torch::IntArrayRef sizes) {
      return torch::randn(sizes).contiguous(torch::MemoryFormat::ChannelsLast);
    };
    const auto x = tensor({2, in, size, size}), dx = tensor({2, in, size, size});
    const auto weight = tensor({out, in, kernel, kernel}), bias = torch::randn({2, out}),
               dbias = torch::randn({2, out});
    const auto linear = [&](const torch::Tensor& z, const torch::Tensor& b) {
      return at::conv2d(z, weight, {}, 1, kernel / 2) + b.unsqueeze(-1).unsqueeze(-1);
    };
    const auto value = linear(x, bias);
    const auto expected = torch::cat({value.relu(), linear(dx, dbias) * value.gt(0)});
    const auto both = torch::cat({x, dx}).contiguous(torch::MemoryFormat::ChannelsLast);
    const auto biases = torch::cat({bias, dbias});
    EXPECT_LT(largest_difference(conv_relu_with_tangents(both, weight, biases), expected), 1e-5);
    EXPECT_LT(largest_difference(conv_relu_with_tangents_reference(both, weight, biases), expected), 1e-5);
    const auto bf16 = conv_relu_with_tangents(both.to(torch::kBFloat16), weight, biases);
    // A value that rounds to the other side of zero switches its tangent: those far from it must agree.
    const auto clear = torch::cat({value.abs().gt(0.5), value.abs().gt(0.5)});
    EXPECT_LT(largest_difference(bf16.to(torch::kFloat32) * clear, expected * clear), 4e-2);
  }
}

TEST(KeptWeights, AreMadeOnceForEachKind) {
  KeptWeights kept;
  const auto weight = torch::randn({2, 2, 3, 3});
  int made = 0;
  const auto get = [&](bool gradient, torch::Dtype type, int64_t layout) {
    return kept.get(weight, {gradient, type, layout}, [&] { return torch::full({}, ++made); }).item<int>();
  };
  EXPECT_EQ(get(false, torch::kFloat32, 2), 1);
  EXPECT_EQ(get(true, torch::kFloat32, 2), 2);
  EXPECT_EQ(get(false, torch::kBFloat16, 2), 3);
  EXPECT_EQ(get(false, torch::kBFloat16, 4), 4);
  EXPECT_EQ(get(true, torch::kFloat32, 2), 2);
  weight.zero_();
  EXPECT_EQ(get(true, torch::kFloat32, 2), 5);
}

TEST(ConvBias, CutsGradientsOffInBfloat16AsItsOwnResultSays) {
  Trial trial({4, 16, 16, 3, 1, 8, true, true, true}, torch::kBFloat16);
  trial.run(conv_bias, KeptWeightsPtr());
  const auto expected = trial.upstream * trial.out.gt(0);
  EXPECT_TRUE(torch::equal(trial.shortcut.grad(), expected));
}

TEST(ConvBias, LeavesItsInputsAlone) {
  Trial trial({2, 16, 16, 3, 1, 8, true, true, true}, torch::kFloat32, false);
  const auto x = trial.x.clone(), shortcut = trial.shortcut.clone();
  trial.run(conv_bias, KeptWeightsPtr());
  EXPECT_TRUE(torch::equal(trial.x, x));
  EXPECT_TRUE(torch::equal(trial.shortcut, shortcut));
}

enum class BiasKind { none, shared, of_samples };

// A convolution that learns: gradients of the weight and of the bias too.
struct LearningTrial : Trial {
  LearningTrial(const Case& c, torch::Dtype type, BiasKind kind) : Trial(c, type) {
    weight.requires_grad_();
    torch::manual_seed(4);
    if (kind == BiasKind::shared) bias = torch::randn({c.out}).requires_grad_();
    if (kind == BiasKind::of_samples) bias = torch::randn({c.batch, c.out}).requires_grad_();
  }
};

std::vector<Case> learning_cases() {
  std::vector<Case> out;
  for (const bool relu : {false, true}) {
    for (const auto& [width, size] : {std::pair{16, 32}, std::pair{64, 8}, std::pair{104, 4}}) {
      out.push_back({4, width, width, 3, 1, size, false, false, relu});
      out.push_back({4, width, 2 * width, 1, 1, size, false, false, relu});
    }
    for (const int64_t batch : {1, 2}) {
      out.push_back({batch, 5, 7, 3, 2, 9, false, false, relu});
      out.push_back({batch, 26, 104, 1, 1, 7, false, false, relu});
    }
  }
  return out;
}

void expect_learning_close(BiasKind kind, torch::Dtype type, bool relu, double tolerance) {
  for (const auto& c : learning_cases()) {
    if (c.relu != relu) continue;
    LearningTrial ours(c, type, kind), reference(c, torch::kFloat32, kind);
    ours.run(conv_bias, KeptWeightsPtr());
    reference.run(conv_bias_reference);
    expect_close(ours, reference, tolerance);
    EXPECT_LT(largest_difference(ours.weight.grad(), reference.weight.grad()), tolerance)
        << c << ": gradient of the weight";
    if (kind != BiasKind::none) {
      EXPECT_LT(largest_difference(ours.bias.grad(), reference.bias.grad()), tolerance)
          << c << ": gradient of the bias";
    }
  }
}

class LearningConvBias : public testing::TestWithParam<BiasKind> {};

TEST_P(LearningConvBias, AgreesWithTheReferenceInFloat32) {
  for (const bool relu : {false, true}) expect_learning_close(GetParam(), torch::kFloat32, relu, 2e-5);
}

TEST_P(LearningConvBias, AgreesWithTheReferenceInBfloat16) {
  expect_learning_close(GetParam(), torch::kBFloat16, /*relu=*/false, 4e-2);
}

TEST_P(LearningConvBias, MasksGradientsInBfloat16AsItsOwnResultSays) {
  LearningTrial trial({4, 16, 16, 3, 1, 8, false, false, true}, torch::kBFloat16, GetParam());
  trial.run(conv_bias, KeptWeightsPtr());
  const auto masked = (trial.upstream * trial.out.gt(0)).to(torch::kFloat32);
  const auto x = trial.x.detach().to(torch::kFloat32).requires_grad_();
  const auto weight = trial.weight.detach().clone().requires_grad_();
  (at::conv2d(x, weight, {}, {1, 1}, {1, 1}) * masked).sum().backward();
  EXPECT_LT(largest_difference(trial.x.grad(), x.grad()), 3e-2);
  EXPECT_LT(largest_difference(trial.weight.grad(), weight.grad()), 3e-2);
  if (GetParam() == BiasKind::of_samples) {
    EXPECT_LT(largest_difference(trial.bias.grad(), masked.sum({2, 3})), 1e-5);
  }
}

TEST_P(LearningConvBias, GivesNoGradientToAnXThatWantsNone) {
  LearningTrial trial({2, 16, 16, 3, 1, 8, false, false, true}, torch::kFloat32, GetParam());
  trial.x.requires_grad_(false);
  trial.out = conv_bias(trial.x, trial.weight, trial.bias, 1, {}, true);
  trial.out.sum().backward();
  EXPECT_FALSE(trial.x.grad().defined());
  EXPECT_TRUE(trial.weight.grad().defined());
}

// Layouts that LibTorch does not recognise as channels-last: plain ones, and those that could be either.
TEST_P(LearningConvBias, TakesAnyLayoutOfItsInput) {
  for (const auto& c : {Case{2, 16, 32, 1, 1, 8, false, false, true}, Case{1, 16, 32, 1, 1, 8, false, false, true},
                        Case{2, 1, 8, 3, 1, 4, false, false, true}}) {
    for (const bool plain : {false, true}) {
      LearningTrial ours(c, torch::kFloat32, GetParam()), reference(c, torch::kFloat32, GetParam());
      ours.x = (plain ? ours.x.detach().contiguous() : ours.x.detach()[0].unsqueeze(0)).requires_grad_();
      reference.x = reference.x.detach().narrow(0, 0, ours.x.size(0)).requires_grad_();
      if (GetParam() == BiasKind::of_samples)
        for (auto* trial : {&ours, &reference})
          trial->bias = trial->bias.detach().narrow(0, 0, ours.x.size(0)).requires_grad_();
      const auto upstream = torch::randn({ours.x.size(0), c.out, c.size, c.size});  // not channels-last
      (conv_bias(ours.x, ours.weight, ours.bias, 1, {}, true) * upstream).sum().backward();
      (conv_bias_reference(reference.x, reference.weight, reference.bias, 1, {}, true) * upstream).sum().backward();
      EXPECT_LT(largest_difference(ours.x.grad(), reference.x.grad()), 2e-5) << c;
      EXPECT_LT(largest_difference(ours.weight.grad(), reference.weight.grad()), 2e-5) << c;
    }
  }
}

TEST_P(LearningConvBias, RefusesASecondDerivative) {
  LearningTrial trial({2, 4, 4, 3, 1, 8, false, false, true}, torch::kFloat32, GetParam());
  const auto out = conv_bias(trial.x, trial.weight, trial.bias, 1, {}, true).square().sum();
  EXPECT_THROW(torch::autograd::grad({out}, {trial.x}, {}, /*retain_graph=*/true, /*create_graph=*/true), c10::Error);
}

TEST(ConvBias, RefusesASecondDerivativeThroughAFrozenWeightToo) {
  Trial trial({2, 16, 16, 3, 1, 8, false, false, false}, torch::kFloat32);
  const auto out = conv_bias(trial.x, trial.weight, trial.bias, 1, {}, false).square().sum();
  EXPECT_THROW(torch::autograd::grad({out}, {trial.x}, {}, /*retain_graph=*/true, /*create_graph=*/true), c10::Error);
}

INSTANTIATE_TEST_SUITE_P(Biases, LearningConvBias,
                         testing::Values(BiasKind::none, BiasKind::shared, BiasKind::of_samples));

TEST(ConvBias, RepeatsOneRowOfBiasesForAllSamples) {
  const Case c{3, 4, 6, 1, 1, 5, false, false, true};
  Trial trial(c, torch::kFloat32, /*inputs_learn=*/false);
  const auto bias = torch::randn({1, c.out});
  EXPECT_LT(largest_difference(conv_bias(trial.x, trial.weight, bias, 1, {}, true),
                               conv_bias(trial.x, trial.weight, bias[0], 1, {}, true)),
            1e-6);
}

TEST(ConvBias, TakesBiasesOfSamplesInTheActivationsType) {
  const Case c{3, 4, 6, 1, 1, 5, false, false, true};
  Trial trial(c, torch::kBFloat16, /*inputs_learn=*/false);
  const auto bias = torch::randn({3, c.out}).to(torch::kBFloat16);
  EXPECT_LT(largest_difference(conv_bias(trial.x, trial.weight, bias, 1, {}, true),
                               conv_bias(trial.x, trial.weight, bias.to(torch::kFloat32), 1, {}, true)),
            2e-2);
}

}  // namespace
}  // namespace mfi
