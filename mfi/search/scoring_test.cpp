#include "mfi/search/scoring.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <limits>

#include "mfi/core/stop_signal.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

double divergence(const torch::Tensor& teacher, const torch::Tensor& student) {
  const auto target = at::log_softmax(teacher, 1);
  return at::kl_div(at::log_softmax(student, 1), target, at::Reduction::Sum, true).item<double>() /
         static_cast<double>(teacher.size(0));
}

// Against whole networks that have the candidates in their places.
TEST(Score, IsTheDivergenceOfTheNetworksThatTheyWouldMake) {
  Recipe recipe;
  recipe.network = {.arch = "resnet20", .width = 4};
  recipe.search.flow_percent = {30};
  Network teacher(resnet_arch("resnet20", 4, 10));
  initialise(teacher, 1);
  torch::manual_seed(1);
  for (int i = 0; i < 10; ++i) teacher.forward(torch::randn({32, 3, 32, 32}));
  teacher.eval();
  CandidateSet set(teacher, stage_candidates(recipe, teacher.arch()), 2);
  set.eval();
  const Dataset data{torch::randint(256, {300, 3, 32, 32}, torch::kUInt8), torch::randint(10, {300}),
                     std::vector<std::string>(10, "c")};
  const Normalisation normalisation{{0.5f, 0.5f, 0.5f}, {0.3f, 0.3f, 0.3f}};
  int64_t last = 0, all = 0;
  const auto scores = score(teacher, set, data, normalisation, torch::kFloat32, [&](int64_t done, int64_t of) {
    EXPECT_EQ(done, ++last);
    all = of;
  });
  EXPECT_EQ(last, all) << "progress that does not end at its end";
  const auto target = classifier_logits(teacher, data, normalisation, torch::kFloat32);
  const auto expected = [&](const std::vector<size_t>& choice) {
    const auto network = set.assemble(teacher, choice);
    network->eval();
    return divergence(target, classifier_logits(*network, data, normalisation, torch::kFloat32));
  };
  std::vector<size_t> own;
  for (const auto& stage : set.candidates()) own.push_back(stage.size() - 1);
  for (size_t stage = 0; stage < own.size(); ++stage) {
    EXPECT_EQ(scores.single[stage].back(), 0);
    for (size_t a = 0; a + 1 < set.candidates()[stage].size(); ++a) {
      auto choice = own;
      choice[stage] = a;
      EXPECT_NEAR(scores.single[stage][a], expected(choice), 1e-4) << stage << " " << a;
      EXPECT_GT(scores.single[stage][a], 1e-3);
      if (stage + 1 == own.size()) continue;
      EXPECT_EQ(scores.pair[stage][a].back(), scores.single[stage][a]);
      for (size_t b = 0; b + 1 < set.candidates()[stage + 1].size(); ++b) {
        choice[stage + 1] = b;
        EXPECT_NEAR(scores.pair[stage][a][b], expected(choice), 1e-4) << stage << " " << a << " " << b;
        const auto logits = classifier_logits(*set.assemble(teacher, choice), data, normalisation, torch::kFloat32);
        EXPECT_NEAR(mean_divergence(target, logits), expected(choice), 1e-6);
      }
    }
  }
}

TEST(Score, CountsAnswersOfAWholeNetworkThatAreNotFiniteAsTheWorst) {
  const auto teacher = torch::randn({4, 10});
  auto logits = teacher.clone();
  EXPECT_NEAR(mean_divergence(teacher, logits), 0, 1e-6);
  logits[1][3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NEAR(mean_divergence(teacher, logits), 250, 1e-6);
}

TEST(Score, CountsAnswersThatAreNotFiniteAsTheWorst) {
  Recipe recipe;
  recipe.network = {.arch = "resnet20", .width = 4};
  Network teacher(resnet_arch("resnet20", 4, 10));
  initialise(teacher, 1);
  teacher.eval();
  CandidateSet set(teacher, stage_candidates(recipe, teacher.arch()), 2);
  set.eval();
  torch::NoGradGuard no_grad;
  set.part(1, 0)->parameters().front().fill_(std::numeric_limits<float>::quiet_NaN());
  const Dataset data{torch::randint(256, {3, 3, 32, 32}, torch::kUInt8), torch::randint(10, {3}),
                     std::vector<std::string>(10, "c")};
  const auto scores = score(teacher, set, data, {{0.5f, 0.5f, 0.5f}, {0.3f, 0.3f, 0.3f}}, torch::kFloat32);
  EXPECT_EQ(scores.single[1][0], 1000);
  EXPECT_EQ(scores.pair[0][0][0], 1000);
  EXPECT_EQ(scores.pair[1][0][0], 1000);
  EXPECT_LT(scores.single[1][1], 1000);
}

TEST(ScoreDeathTest, EndsInItsMidstWhenAStopIsAskedFor) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto stopped_in_time = [] {
    Recipe recipe;
    recipe.network = {.arch = "resnet20", .width = 4};
    Network teacher(resnet_arch("resnet20", 4, 10));
    initialise(teacher, 1);
    CandidateSet set(teacher, stage_candidates(recipe, teacher.arch()), 2);
    set.eval();
    const Dataset data{torch::randint(256, {3, 3, 32, 32}, torch::kUInt8), torch::randint(10, {3}),
                       std::vector<std::string>(10, "c")};
    install_stop_handlers();
    int64_t last = 0;
    try {
      score(teacher, set, data, {{0.5f, 0.5f, 0.5f}, {0.3f, 0.3f, 0.3f}}, torch::kFloat32, [&](int64_t done, int64_t) {
        last = done;
        if (done == 3) std::raise(SIGTERM);
      });
    } catch (const Error& error) {
      return error.exit_code() == ExitCode::terminated && last == 3;
    }
    return false;
  };
  EXPECT_EXIT(std::_Exit(stopped_in_time() ? 0 : 1), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mfi
