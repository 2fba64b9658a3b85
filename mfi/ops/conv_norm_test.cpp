#include "mfi/ops/conv_norm.h"

#include <gtest/gtest.h>

#include <array>
#include <barrier>
#include <limits>
#include <thread>
#include <tuple>

#include "mfi/ops/test_difference.h"

namespace mfi {
namespace {

struct Case {
  int64_t batch, in, out, kernel, stride, size;
  bool shortcut, relu;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.batch << " x " << c.in << " -> " << c.out << " channels, kernel " << c.kernel << ", stride "
             << c.stride << ", " << c.size << " x " << c.size << (c.shortcut ? ", shortcut" : "")
             << (c.relu ? ", ReLU" : "");
}

// Every kind of layer that an Arch has, at the widths of ResNet-34-w16 and of the flow stages, and then
// odd ones: batches of 1 and 2, odd sizes, channels that fill no register.
std::vector<Case> cases() {
  std::vector<Case> out;
  for (const bool relu : {false, true})
    for (const bool shortcut : {false, true}) {
      out.push_back({8, 3, 16, 3, 1, 32, shortcut, relu});
      for (const auto& [width, size] : {std::pair{16, 32}, std::pair{32, 16}, std::pair{64, 8}, std::pair{128, 4}}) {
        out.push_back({8, width, width, 3, 1, size, shortcut, relu});
        out.push_back({8, width, 2 * width, 3, 2, size, shortcut, relu});
        out.push_back({8, width, 2 * width, 1, 2, size, shortcut, relu});
        out.push_back({8, width, 4 * width, 1, 1, size, shortcut, relu});
      }
      for (const int64_t batch : {1, 2}) {
        out.push_back({batch, 16, 16, 3, 1, 32, shortcut, relu});
        out.push_back({batch, 5, 7, 3, 2, 9, shortcut, relu});
        out.push_back({batch, 26, 104, 1, 1, 7, shortcut, relu});
        out.push_back({batch, 128, 128, 3, 1, 4, shortcut, relu});
      }
    }
  return out;
}

// Inputs of a case and, after run(), what came of them.
struct Trial {
  torch::Tensor x, shortcut, out;
  ConvNormWeights weights;

  Trial(const Case& c, torch::Dtype type) {
    torch::manual_seed(3);
    const auto tensor = [&](torch::IntArrayRef sizes) {
      return torch::randn(sizes).to(torch::kBFloat16).to(type).contiguous(torch::MemoryFormat::ChannelsLast);
    };
    const int64_t size = (c.size + c.stride - 1) / c.stride;
    x = tensor({c.batch, c.in, c.size, c.size}).requires_grad_();
    if (c.shortcut) shortcut = tensor({c.batch, c.out, size, size}).requires_grad_();
    // Exact in bfloat16, so that both precisions convolve with the same numbers.
    weights.weight = torch::randn({c.out, c.in, c.kernel, c.kernel})
                         .to(torch::kBFloat16)
                         .to(torch::kFloat32)
                         .contiguous(torch::MemoryFormat::ChannelsLast)
                         .requires_grad_();
    weights.gamma = (torch::rand({c.out}) + 0.5).requires_grad_();
    weights.beta = torch::randn({c.out}).requires_grad_();
    weights.running_mean = torch::randn({c.out});
    weights.running_var = torch::rand({c.out}) + 0.5;
    weights.stride = c.stride;
    upstream_ = tensor({c.batch, c.out, size, size});
  }

  template <class Operation>
  void run(const Operation& operation, bool relu) {
    out = operation(x, weights, shortcut, relu);
    (out * upstream_).sum().backward();
  }

  // Leaves only some of the samples.
  template <class Choose>
  void take(const Choose& choose) {
    x = choose(x).requires_grad_();
    if (shortcut.defined()) shortcut = choose(shortcut).requires_grad_();
    upstream_ = choose(upstream_);
  }

  std::vector<std::pair<std::string, torch::Tensor>> results() const {
    std::vector<std::pair<std::string, torch::Tensor>> all{{"result", out.detach()},
                                                           {"gradient of x", x.grad()},
                                                           {"gradient of the weight", weights.weight.grad()},
                                                           {"gradient of gamma", weights.gamma.grad()},
                                                           {"gradient of beta", weights.beta.grad()},
                                                           {"running mean", weights.running_mean},
                                                           {"running variance", weights.running_var}};
    if (shortcut.defined()) all.emplace_back("gradient of the shortcut", shortcut.grad());
    return all;
  }

 private:
  torch::Tensor upstream_;
};

// Against the float32 reference, on numbers that bfloat16 holds exactly.
void expect_agreement(const Case& c, torch::Dtype type, double tolerance) {
  Trial fused(c, type), reference(c, torch::kFloat32);
  fused.run(conv_norm, c.relu);
  reference.run(conv_norm_reference, c.relu);
  const auto ours = fused.results(), theirs = reference.results();
  for (size_t i = 0; i < ours.size(); ++i)
    EXPECT_LT(largest_difference(ours[i].second, theirs[i].second), tolerance) << c << ": " << ours[i].first;
}

TEST(ConvNorm, AgreesWithTheReferenceInFloat32) {
  for (const auto& c : cases()) expect_agreement(c, torch::kFloat32, 2e-5);
}

// ReLU is left out: a value that rounds to the other side of zero switches a whole gradient on or off.
TEST(ConvNorm, AgreesWithTheReferenceInBfloat16) {
  for (const auto& c : cases())
    if (!c.relu) expect_agreement(c, torch::kBFloat16, 4e-2);
}

TEST(ConvNorm, CutsOffInBfloat16AsItsOwnResultSays) {
  Trial run({4, 16, 16, 3, 1, 8, true, true}, torch::kBFloat16);
  run.run(conv_norm, true);
  const auto passed = run.out.gt(0);
  EXPECT_TRUE(run.out.ge(0).all().item<bool>());
  EXPECT_TRUE(run.shortcut.grad().masked_select(passed.logical_not()).eq(0).all().item<bool>());
  EXPECT_TRUE(run.shortcut.grad().masked_select(passed).ne(0).all().item<bool>());
}

TEST(ConvNorm, AgreesWithFiniteDifferencesInItsReference) {
  torch::manual_seed(1);
  const auto f64 = torch::kFloat64;
  ConvNormWeights weights;
  weights.weight = torch::randn({3, 2, 3, 3}, f64).requires_grad_();
  weights.gamma = (torch::rand({3}, f64) + 0.5).requires_grad_();
  weights.beta = torch::randn({3}, f64).requires_grad_();
  weights.running_mean = torch::zeros({3}, f64);
  weights.running_var = torch::ones({3}, f64);
  const auto x = torch::randn({2, 2, 4, 4}, f64).requires_grad_(), upstream = torch::randn({2, 3, 4, 4}, f64);
  const auto loss = [&] { return (conv_norm(x, weights, {}, true) * upstream).sum(); };
  loss().backward();
  torch::NoGradGuard no_grad;
  for (const auto& parameter : {x, weights.weight, weights.gamma, weights.beta}) {
    auto flat = parameter.view({-1});
    for (int64_t i = 0; i < flat.numel(); i += 5) {
      const double kept = flat[i].item<double>(), step = 1e-6;
      flat[i] = kept + step;
      const double above = loss().item<double>();
      flat[i] = kept - step;
      const double below = loss().item<double>();
      flat[i] = kept;
      EXPECT_NEAR(parameter.grad().view({-1})[i].item<double>(), (above - below) / (2 * step), 1e-5);
    }
  }
}

// A mean of a hundred standard deviations, where sum of squares minus squared sum leaves nothing.
TEST(ConvNorm, KeepsTheVarianceOfChannelsFarFromZero) {
  Trial fused({8, 4, 4, 1, 1, 16, false, false}, torch::kFloat32),
      reference({8, 4, 4, 1, 1, 16, false, false}, torch::kFloat32);
  for (auto* run : {&fused, &reference}) {
    torch::NoGradGuard no_grad;
    run->x.add_(1000);
  }
  fused.run(conv_norm, false);
  reference.run(conv_norm_reference, false);
  EXPECT_LT(largest_difference(fused.out, reference.out), 1e-3);  // 1000 itself is known to 6e-5 only
}

// The first pixel, around which sums are taken, is 30 standard deviations from the others.
TEST(ConvNorm, FindsTheVarianceBesideAnOutlier) {
  const Case c{8, 1, 1, 1, 1, 32, false, false};
  Trial fused(c, torch::kFloat32), reference(c, torch::kFloat32);
  for (auto* trial : {&fused, &reference}) {
    torch::NoGradGuard no_grad;
    trial->x.mul_(0.03);
    trial->x[0][0][0][0] = 1;
  }
  fused.run(conv_norm, false);
  reference.run(conv_norm_reference, false);
  EXPECT_LT(largest_difference(fused.out, reference.out), 2e-5);
  EXPECT_LT(largest_difference(fused.weights.running_var, reference.weights.running_var), 2e-5);
}

TEST(ConvNorm, LetsWhatIsNotANumberReachTheWholeChannel) {
  Trial trial({2, 4, 4, 1, 1, 4, false, true}, torch::kFloat32);
  {
    torch::NoGradGuard no_grad;
    trial.x[0][0][1][2] = std::numeric_limits<float>::infinity();
  }
  trial.run(conv_norm, true);
  EXPECT_TRUE(trial.out.isnan().all().item<bool>());
  EXPECT_TRUE(trial.weights.running_var.isnan().all().item<bool>());
}

// What comes from outside need not be dense channels-last.
TEST(ConvNorm, TakesAnyLayoutOfItsInputs) {
  const Case c{3, 6, 8, 3, 2, 9, true, true};
  Trial plain(c, torch::kFloat32), other(c, torch::kFloat32);
  other.x = other.x.detach().contiguous().requires_grad_();
  other.shortcut = other.shortcut.detach().contiguous().requires_grad_();
  plain.run(conv_norm, true);
  other.run(conv_norm, true);
  EXPECT_LT(largest_difference(other.out, plain.out), 1e-6);
  EXPECT_LT(largest_difference(other.x.grad(), plain.x.grad()), 1e-6);
  EXPECT_LT(largest_difference(other.weights.weight.grad(), plain.weights.weight.grad()), 1e-6);
}

TEST(ConvNorm, TakesAnyLayoutOfTheGradientThatArrives) {
  const Case c{3, 6, 8, 3, 1, 8, true, true};
  Trial fused(c, torch::kFloat32), reference(c, torch::kFloat32);
  conv_norm(fused.x, fused.weights, fused.shortcut, true).sum().backward();  // one value, expanded
  conv_norm_reference(reference.x, reference.weights, reference.shortcut, true).sum().backward();
  EXPECT_LT(largest_difference(fused.weights.gamma.grad(), reference.weights.gamma.grad()), 2e-5);
  EXPECT_LT(largest_difference(fused.shortcut.grad(), reference.shortcut.grad()), 2e-5);
}

TEST(ConvNorm, RefusesASecondDerivative) {
  Trial trial({2, 4, 4, 3, 1, 8, false, false}, torch::kFloat32);
  const auto out = conv_norm(trial.x, trial.weights, {}, false).square().sum();
  EXPECT_THROW(torch::autograd::grad({out}, {trial.x}, {}, /*retain_graph=*/true, /*create_graph=*/true), c10::Error);
}

TEST(ConvNorm, RefusesAShortcutOfAnotherShape) {
  Trial trial({2, 4, 4, 3, 1, 8, true, false}, torch::kFloat32);
  EXPECT_THROW(conv_norm(trial.x, trial.weights, trial.shortcut.narrow(2, 0, 4), false), c10::Error);
}

TEST(ConvNorm, GivesNoGradientsToWhatWantsNone) {
  Trial run({2, 4, 4, 3, 1, 8, true, true}, torch::kFloat32);
  run.x.requires_grad_(false);
  run.weights.weight.requires_grad_(false);
  run.shortcut.requires_grad_(false);
  run.run(conv_norm, true);
  EXPECT_FALSE(run.x.grad().defined());
  EXPECT_FALSE(run.weights.weight.grad().defined());
  EXPECT_FALSE(run.shortcut.grad().defined());
  EXPECT_TRUE(run.weights.gamma.grad().defined());
}

TEST(ConvNorm, GivesTheSameBitsAgain) {
  const Case c{16, 16, 16, 3, 1, 32, true, true};
  Trial once(c, torch::kBFloat16), again(c, torch::kBFloat16);
  once.run(conv_norm, true);
  again.run(conv_norm, true);
  const auto a = once.results(), b = again.results();
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(torch::equal(a[i].second, b[i].second)) << a[i].first;
}

// What two threads call together; the sum is taken in the threads' order, so both get the same bits.
class SumsOfTwo {
 public:
  BatchSumsPtr of(size_t index) { return c10::make_intrusive<Part>(*this, index); }

 private:
  class Part : public BatchSums {
   public:
    Part(SumsOfTwo& all, size_t index) : all_(all), index_(index) {}
    void add_up(std::vector<double>& values) override {
      all_.given_[index_] = &values;
      all_.barrier_.arrive_and_wait();
      std::vector<double> sum(values.size());
      for (size_t i = 0; i < sum.size(); ++i) sum[i] = all_.given_[0]->at(i) + all_.given_[1]->at(i);
      all_.barrier_.arrive_and_wait();
      values = sum;
    }

   private:
    SumsOfTwo& all_;
    size_t index_;
  };

  std::barrier<> barrier_{2};
  std::array<std::vector<double>*, 2> given_{};
};

using ConvNormOperation = torch::Tensor (*)(const torch::Tensor&, const ConvNormWeights&, const torch::Tensor&, bool);

// A batch of 6 as shares of 2 and 4, each on a thread of its own, against the whole.
void expect_shares_to_make_the_whole(ConvNormOperation operation, torch::Dtype type, double tolerance) {
  const Case whole_case{6, 5, 32, 3, 1, 8, true, true};
  Trial whole(whole_case, type);
  whole.run(operation, true);
  SumsOfTwo sums;
  std::vector<Trial> shares(2, Trial(whole_case, type));
  const auto take = [](size_t index, const torch::Tensor& x) {
    return x.detach().narrow(0, index == 0 ? 0 : 2, index == 0 ? 2 : 4);
  };
  std::vector<std::thread> threads;
  for (size_t index = 0; index < 2; ++index) {
    shares[index] = Trial(whole_case, type);
    shares[index].take([&](const torch::Tensor& x) { return take(index, x); });
    shares[index].weights.sums = sums.of(index);
    threads.emplace_back([&, index] { shares[index].run(operation, true); });
  }
  for (auto& thread : threads) thread.join();
  const auto expected = whole.results(), first = shares[0].results(), second = shares[1].results();
  for (size_t i = 0; i < expected.size(); ++i) {
    const auto& [name, tensor] = expected[i];
    const bool of_samples = name == "result" || name == "gradient of x" || name == "gradient of the shortcut";
    const bool summed = name.starts_with("gradient of") && !of_samples;
    const auto both = of_samples ? torch::cat({first[i].second, second[i].second})
                      : summed   ? first[i].second + second[i].second
                                 : second[i].second;
    EXPECT_LT(largest_difference(both, tensor), tolerance) << name;
    if (!of_samples && !summed) {
      EXPECT_TRUE(torch::equal(first[i].second, second[i].second)) << name;
    }
  }
}

TEST(ConvNorm, OfSharesThatAddUpTheirSumsIsThatOfTheWholeBatch) {
  // float32 sums in another order.
  expect_shares_to_make_the_whole(conv_norm, torch::kFloat32, 2e-6);
}

TEST(ConvNorm, HasAReferenceThatAddsUpAsWell) {
  expect_shares_to_make_the_whole(conv_norm_reference, torch::kFloat32, 2e-5);
}

}  // namespace
}  // namespace mfi
