#include "mfi/report/verdict.h"

#include <algorithm>
#include <cmath>

#include "mfi/core/text.h"

namespace mfi {
namespace {

// Rounded as printed, so that a sentence never contradicts the table above it.
double hundredths(double percent) { return std::round(percent * 100) / 100; }

std::string against(const StepResult& hybrid, const StepResult& other) {
  const double points = hundredths(hybrid.test_top1_percent) - hundredths(other.test_top1_percent);
  if (std::abs(points) < 0.005) return "as good as " + other.step;
  return format("%.2f points %s %s", std::abs(points), points > 0 ? "better than" : "worse than", other.step.c_str());
}

struct Claim {
  const char* step;
  const char* gained;   // what the hybrid's lead over this control would be worth
  const char* nothing;  // what is so when there is none
};

// One sentence for each control that was run: what it takes away from the method's claim.
constexpr Claim kClaims[] = {
    {"teacher-longer", "The hybrid is better than its teacher trained as long",
     "for accuracy alone, training the teacher on is enough"},
    {"no-mapping", "Mapping gained", "on this network the mapping itself gained nothing"},
    {"regression-hybrid", "MeanFlow mapping gained over plain regression", "plain regression is enough here"},
    {"smaller-resnet", "The hybrid gained over a plain ResNet of its size", "a smaller plain ResNet is enough here"},
    {"distilled-resnet", "The hybrid gained over a plain ResNet of its size that the teacher taught",
     "plain distillation into a smaller ResNet is enough here"},
};

std::string judge(const StepResult& hybrid, const StepResult& control, const Claim& claim, int64_t images) {
  const double points = hundredths(hybrid.test_top1_percent) - hundredths(control.test_top1_percent);
  if (points < 0.005)
    return format("The control %s does %s: %s.", claim.step, points > -0.005 ? "as well" : "better", claim.nothing);
  const double chance = chance_points(hybrid.test_top1_percent, control.test_top1_percent, images);
  return format("%s: %.2f points%s.", claim.gained, points, points < chance ? ", no more than chance may give" : "");
}

}  // namespace

double chance_points(double one_percent, double other_percent, int64_t images) {
  if (images <= 0) return 100;
  const auto variance = [&](double percent) {
    return percent * std::max(0.0, 100 - percent) / static_cast<double>(images);
  };
  return 1.96 * std::sqrt(variance(one_percent) + variance(other_percent));
}

double chance_of_one(double percent, int64_t images) {
  if (images <= 0) return 0;
  return 1.96 * std::sqrt(std::max(0.0, percent * (100 - percent)) / static_cast<double>(images));
}

std::string summary(const RunResults& results) {
  const auto* teacher = results.find("teacher");
  const auto* hybrid = results.find("hybrid");
  const auto asked = "Asked to make " + (teacher ? teacher->network : "a trained network") + " smaller for " +
                     results.dataset + ", mfi ";
  if (!teacher || !hybrid || teacher->parameters <= 0 || teacher->macs <= 0)
    return asked + "has not made the hybrid yet: " +
           (results.steps.empty()
                ? "no step is done."
                : format("%zu of its steps %s done.", results.steps.size(), results.steps.size() == 1 ? "is" : "are"));
  const auto percent = [](int64_t part, int64_t whole) {
    return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  };
  auto out = asked + format(
                         "made a hybrid with %.1f %% of its parameters and %.1f %% of its multiply-accumulates, which "
                         "classifies %.2f %% of %lld test images correctly, ",
                         percent(hybrid->parameters, teacher->parameters), percent(hybrid->macs, teacher->macs),
                         hybrid->test_top1_percent, static_cast<long long>(results.test_images));
  const double points = hundredths(hybrid->test_top1_percent) - hundredths(teacher->test_top1_percent);
  if (std::abs(points) < 0.005) return out + "as many as its teacher.";
  const double chance = chance_points(hybrid->test_top1_percent, teacher->test_top1_percent, results.test_images);
  return out + format("%.2f points %s than its teacher, %s than chance may give.", std::abs(points),
                      points > 0 ? "more" : "less", std::abs(points) < chance ? "no more" : "which is more");
}

std::string verdict(const RunResults& results) {
  const auto* teacher = results.find("teacher");
  const auto* hybrid = results.find("hybrid");
  if (!teacher || !hybrid || teacher->parameters <= 0) return "";

  std::vector<std::string> comparisons{against(*hybrid, *teacher)};
  std::vector<std::string> sentences;
  for (const auto& claim : kClaims) {
    const auto* control = results.find(claim.step);
    if (!control) continue;
    comparisons.push_back(against(*hybrid, *control));
    sentences.push_back(judge(*hybrid, *control, claim, results.test_images));
  }

  std::string out = format("The hybrid has %.1f %% of the teacher's parameters; its test accuracy is ",
                           100.0 * static_cast<double>(hybrid->parameters) / static_cast<double>(teacher->parameters));
  if (comparisons.size() == 1) {
    out += comparisons[0] + ".\n";
  } else {
    const auto last = comparisons.back();
    comparisons.pop_back();
    out += join(comparisons, ", ") + " and " + last + ".\n";
  }
  for (const auto& sentence : sentences) out += sentence + "\n";
  if (sentences.empty())
    out += "No controls were run ([controls] in the recipe): what the mapping is worth is not known.\n";
  out += format("With %lld test images, a difference below %.1f points may be chance.\n",
                static_cast<long long>(results.test_images),
                chance_points(hybrid->test_top1_percent, teacher->test_top1_percent, results.test_images));
  return out;
}

}  // namespace mfi
