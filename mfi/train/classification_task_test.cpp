#include "mfi/train/classification_task.h"

#include <gtest/gtest.h>

#include "mfi/core/error.h"
#include "mfi/train/evaluate.h"
#include "mfi/train/optimiser.h"
#include "mfi/train/test_data.h"

namespace mfi {
namespace {

using enum Learns;

Arch small_arch() {
  auto arch = resnet_arch("resnet20", 8, 3);
  FlowArch flow;
  flow.hidden = 6;
  arch = with_flow_stage(arch, 2, flow);
  arch.image_size = 8;
  return arch;
}

std::shared_ptr<Network> network(uint64_t seed = 1) {
  auto net = std::make_shared<Network>(small_arch());
  initialise(*net, seed);
  torch::NoGradGuard no_grad;
  // As after some training: otherwise the flow stage's inner layers get no gradient.
  for (auto& [name, tensor] : named_tensors(*net))
    if (name.find(".leave.weight") != std::string::npos) tensor.fill_(0.02);
  return net;
}

Batch batch(torch::Dtype dtype = torch::kFloat32) {
  torch::manual_seed(3);
  return {torch::randn({6, 3, 8, 8}).to(dtype).contiguous(torch::MemoryFormat::ChannelsLast),
          torch::tensor({0, 1, 2, 0, 1, 2}, torch::kInt64)};
}

std::map<std::string, torch::Tensor> snapshot(const torch::nn::Module& module) {
  std::map<std::string, torch::Tensor> out;
  for (const auto& [name, tensor] : named_tensors(module)) out[name] = tensor.detach().clone();
  return out;
}

void train_one_step(ClassificationTask& task, const StepSettings& settings, torch::Dtype dtype = torch::kFloat32) {
  const auto set = task.parameter_sets().at(0);
  Optimiser optimiser(set, settings);
  task.set_training_mode();
  task.step(batch(dtype), {}).losses.at(0).backward();
  optimiser.step(0.1);
}

// Which parts changed in any weight or statistic, by the first word of the tensor's name.
std::set<std::string> changed_parts(const torch::nn::Module& module,
                                    const std::map<std::string, torch::Tensor>& before) {
  std::set<std::string> out;
  for (const auto& [name, tensor] : named_tensors(module))
    if (!torch::equal(tensor, before.at(name))) out.insert(name.substr(0, name.find('.')));
  return out;
}

TEST(FrozenParts, StayTheSameBitForBit) {
  for (const auto dtype : {torch::kFloat32, torch::kBFloat16}) {
    const auto net = network();
    ClassificationTask task(net, {nothing, nothing, all, nothing, nothing}, {}, nullptr, {}, dtype);
    const auto before = snapshot(*net);
    train_one_step(task, {}, dtype);
    EXPECT_EQ(changed_parts(*net, before), std::set<std::string>{"stage2"});
  }
}

TEST(LearningParts, AllChangeWeightsAndStatistics) {
  const auto net = network();
  ClassificationTask task(net, std::vector<Learns>(5, all), {}, nullptr, {}, torch::kFloat32);
  const auto before = snapshot(*net);
  train_one_step(task, {});
  for (const auto& [name, tensor] : named_tensors(*net)) EXPECT_FALSE(torch::equal(tensor, before.at(name))) << name;
}

TEST(VelocityOnly, LeavesTheAlignmentAndItsStatistics) {
  const auto net = network();
  ClassificationTask task(net, {nothing, nothing, nothing, velocity, nothing}, {}, nullptr, {}, torch::kFloat32);
  const auto before = snapshot(*net);
  train_one_step(task, {});
  bool velocity_changed = false;
  for (const auto& [name, tensor] : named_tensors(*net)) {
    const bool same = torch::equal(tensor, before.at(name));
    if (name.find(".velocity0.") == std::string::npos)
      EXPECT_TRUE(same) << name;
    else
      velocity_changed |= !same;
  }
  EXPECT_TRUE(velocity_changed);
}

// Frozen parts run folded; what reaches the learning part must not change by that.
TEST(FrozenSuffix, PassesTheSameGradientAsTheWholeNetwork) {
  const auto a = network(), b = network();
  ClassificationTask partial(a, {nothing, all, nothing, nothing, nothing}, {}, nullptr, {}, torch::kFloat32);
  partial.set_training_mode();
  partial.step(batch(), {}).losses.at(0).backward();

  b->eval();
  b->part(1)->train();
  const auto data = batch();
  at::cross_entropy_loss(b->forward(data.images), data.labels, {}, at::Reduction::Mean, -100,
                         StepSettings{}.label_smoothing)
      .backward();
  const auto pa = a->part(1)->parameters(), pb = b->part(1)->parameters();
  for (size_t i = 0; i < pa.size(); ++i) {
    // float32 rounding of the folded weights, relative to the largest gradient of the tensor.
    const double scale = pb[i].grad().abs().max().item<double>();
    EXPECT_LT((pa[i].grad() - pb[i].grad()).abs().max().item<double>(), 1e-3 * scale + 1e-7);
  }
}

// Teacher and student the same: the divergence and its gradient vanish, and half the loss is left.
TEST(Distillation, FromItselfAddsNothing) {
  StepSettings settings;
  settings.label_smoothing = 0;
  const auto plain_net = network();
  plain_net->eval();
  ClassificationTask plain(plain_net, std::vector<Learns>(5, all), settings, nullptr, {}, torch::kFloat32);
  settings.distillation = 0.5;
  ClassificationTask distilled(plain_net, std::vector<Learns>(5, all), settings, plain_net, {}, torch::kFloat32);
  // In eval mode, since the folded teacher uses running statistics.
  const double expected = 0.5 * plain.step(batch(), {}).losses[0].item<double>();
  EXPECT_NEAR(distilled.step(batch(), {}).losses[0].item<double>(), expected, 1e-4);
}

TEST(Distillation, MatchesTheFormula) {
  StepSettings settings;
  settings.label_smoothing = 0;
  settings.distillation = 0.3;
  settings.temperature = 2;
  const auto student = network(1), teacher = network(2);
  student->eval();
  teacher->eval();
  ClassificationTask task(student, std::vector<Learns>(5, all), settings, teacher, {}, torch::kFloat32);
  const auto data = batch();
  const double loss = task.step(data, {}).losses[0].item<double>();

  torch::NoGradGuard no_grad;
  const auto s = student->forward(data.images).to(torch::kFloat64),
             t = teacher->forward(data.images).to(torch::kFloat64);
  const auto p = torch::softmax(t / 2, 1);
  const auto kl = (p * (p.log() - torch::log_softmax(s / 2, 1))).sum(1).mean();
  const auto ce = -torch::log_softmax(s, 1).gather(1, data.labels.view({-1, 1})).mean();
  EXPECT_NEAR(loss, (0.7 * ce + 0.3 * 4 * kl).item<double>(), 1e-4);
}

TEST(Distillation, OfFeaturesMatchesTheFormula) {
  StepSettings settings;
  settings.label_smoothing = 0;
  settings.features = 0.7;
  const auto student = network(1), teacher = network(2);
  student->eval();
  teacher->eval();
  ClassificationTask task(student, std::vector<Learns>(5, all), settings, teacher, {}, torch::kFloat32);
  const auto data = batch();
  const double loss = task.step(data, {}).losses[0].item<double>();

  torch::NoGradGuard no_grad;
  const auto ce = at::cross_entropy_loss(student->forward(data.images), data.labels).item<double>();
  const auto s = student->features(data.images), t = teacher->features(data.images);
  double distance = 0;
  for (size_t k = 1; k < s.size(); ++k)
    distance += ((s[k] - t[k]).square().mean() / t[k].square().mean()).item<double>() / 3;
  EXPECT_NEAR(loss, ce + 0.7 * distance, 1e-4 * loss);
}

TEST(Distillation, OfFeaturesNeedsTheSameStages) {
  StepSettings settings;
  settings.features = 1;
  const auto narrow = std::make_shared<Network>(resnet_arch("resnet20", 4, 3));
  EXPECT_THROW(ClassificationTask(network(), std::vector<Learns>(5, all), settings, narrow, {}, torch::kFloat32),
               ShapeError);
}

// With smaller images the teacher still sees them whole.
TEST(Distillation, ShowsTheTeacherWholeImages) {
  StepSettings settings;
  settings.distillation = 1;
  const auto student = network(1), teacher = network(2);
  student->eval();
  ClassificationTask task(student, std::vector<Learns>(5, all), settings, teacher, {}, torch::kFloat32);
  auto data = batch();
  data.full_size = data.images;
  data.images = torch::avg_pool2d(data.images, 2).contiguous(torch::MemoryFormat::ChannelsLast);
  const double loss = task.step(data, {}).losses[0].item<double>();
  teacher->eval();
  torch::NoGradGuard no_grad;
  const auto t = torch::log_softmax(teacher->forward(data.full_size) / 4, 1),
             s = torch::log_softmax(student->forward(data.images) / 4, 1);
  EXPECT_NEAR(loss, 16 * (t.exp() * (t - s)).sum(1).mean().item<double>(), 1e-4);
}

TEST(ImagesWithoutLabels, HaveNoCrossEntropy) {
  const auto net = network();
  net->eval();
  StepSettings settings;
  ClassificationTask task(net, std::vector<Learns>(5, all), settings, nullptr, {}, torch::kFloat32);
  auto data = batch();
  const auto labels = data.labels.clone();
  for (const int64_t i : {1, 4, 5}) data.labels[i] = kNoLabel;
  const auto result = task.step(data, {});
  EXPECT_EQ(result.correct, -1) << "not all of them can be right or wrong";
  torch::NoGradGuard no_grad;
  const auto kept = torch::tensor({0, 2, 3});
  const auto known =
      at::cross_entropy_loss(net->forward(data.images).index_select(0, kept), labels.index_select(0, kept), {},
                             at::Reduction::Sum, -100, settings.label_smoothing);
  EXPECT_NEAR(result.losses[0].item<double>(), known.item<double>() / 6, 1e-5);

  data.labels.fill_(kNoLabel);
  EXPECT_EQ(task.step(data, {}).losses[0].item<double>(), 0) << "and not NaN";
}

TEST(EvaluateClassifier, CountsWhatIsRight) {
  const auto data = made_up_dataset(50, 3);
  const auto net = network();
  net->eval();
  torch::NoGradGuard no_grad;
  Normalisation plain;
  const auto logits = net->forward(data.images.to(torch::kFloat32) / 255);
  const double expected = logits.argmax(1).eq(data.labels).to(torch::kFloat64).mean().item<double>() * 100;
  const auto accuracy = evaluate_classifier(*net, data, plain, torch::kFloat32);
  EXPECT_NEAR(accuracy.top1_percent, expected, 1e-9);
  EXPECT_EQ(accuracy.images, 50);
}

TEST(EvaluateClassifier, TellsWhatItAnsweredToEachImage) {
  const auto data = made_up_dataset(50, 3);
  const auto net = network();
  net->eval();
  torch::NoGradGuard no_grad;
  const auto logits = net->forward(data.images.to(torch::kFloat32) / 255);
  Answers answers;
  evaluate_classifier(*net, data, {}, torch::kFloat32, nullptr, &answers);
  ASSERT_EQ(answers.classes.size(), 50);
  const auto [probabilities, classes] = logits.softmax(1).max(1);
  for (int64_t i = 0; i < 50; ++i) {
    const auto at = static_cast<size_t>(i);
    EXPECT_EQ(answers.classes[at], classes[i].item<int64_t>()) << i;
    EXPECT_NEAR(answers.probabilities[at], probabilities[i].item<float>(), 1e-5) << i;  // folding rounds
    EXPECT_EQ(answers.labels[at], data.labels[i].item<int64_t>()) << i;
  }
}

TEST(EvaluateClassifier, RefusesAnotherNumberOfClasses) {
  EXPECT_THROW(evaluate_classifier(*network(), made_up_dataset(10, 4), {}, torch::kFloat32), DataError);
}

}  // namespace
}  // namespace mfi
