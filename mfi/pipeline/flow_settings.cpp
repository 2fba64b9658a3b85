#include "mfi/pipeline/flow_settings.h"

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"

namespace mfi {
namespace {

// Share of a stage's parameters that its flow stage may have when the recipe gives no hidden width.
// With these, ResNet-34 and -50 stay under the paper's sizes of meta model and hybrid (a test).
struct StageShares {
  double last, other;
};
constexpr StageShares kBasicShares{0.32, 0.108}, kBottleneckShares{0.27, 0.12};

VelocityKind velocity_kind(const std::string& name) {
  if (name == "pointwise") return VelocityKind::pointwise;
  return name == "depthwise" ? VelocityKind::depthwise : VelocityKind::bottleneck;
}

struct Form {
  const char* name;
  VelocityKind kind;
  int64_t kernel, dilation;
};
constexpr Form kForms[] = {
    {"bottleneck", VelocityKind::bottleneck, 3, 1},         {"bottleneck-5", VelocityKind::bottleneck, 5, 1},
    {"bottleneck-dilated", VelocityKind::bottleneck, 3, 2}, {"depthwise", VelocityKind::depthwise, 3, 1},
    {"depthwise-5", VelocityKind::depthwise, 5, 1},         {"depthwise-7", VelocityKind::depthwise, 7, 1}};

}  // namespace

std::string velocity_name(VelocityKind kind) {
  if (kind == VelocityKind::pointwise) return "pointwise";
  return kind == VelocityKind::depthwise ? "depthwise" : "bottleneck";
}

const std::vector<std::string>& flow_form_names() {
  static const auto names = [] {
    std::vector<std::string> out(1, "recipe");
    for (const auto& form : kForms) out.emplace_back(form.name);
    return out;
  }();
  return names;
}

FlowArch in_form(FlowArch flow, const std::string& form) {
  for (const auto& known : kForms) {
    if (known.name != form) continue;
    flow.kind = known.kind;
    flow.kernel = known.kernel;
    flow.dilation = known.dilation;
  }
  return flow;
}

int64_t flow_modules(const Recipe& recipe, size_t stage, size_t stages) {
  const auto modules = stage_entry(recipe.flow.modules, stage);
  if (modules != 0) return modules;
  return stage + 1 == stages ? 2 : 1;
}

FlowArch flow_form(const Recipe& recipe, const Arch& teacher, size_t stage) {
  FlowArch flow;
  flow.kind = velocity_kind(stage_entry(recipe.flow.velocity, stage));
  flow.depth = stage_entry(recipe.flow.depth, stage);
  // What a stage does without stays as it is, so that networks that are the same are described the same.
  if (flow.kind != VelocityKind::pointwise) {
    flow.kernel = stage_entry(recipe.flow.kernel, stage);
    flow.dilation = stage_entry(recipe.flow.dilation, stage);
  }
  flow.alignment = stage_entry(recipe.flow.alignment, stage);
  if (stage_entry(recipe.flow.downsampling, stage) == "average" && teacher.stages[stage].stride != 1)
    flow.downsampling = Downsampling::average;
  flow.modules = flow_modules(recipe, stage, teacher.stages.size());
  flow.steps = stage_entry(recipe.flow.steps, stage);
  if (flow.steps == 0) flow.steps = flow.modules;
  return with_step_lengths(flow, recipe, stage);
}

FlowArch with_step_lengths(FlowArch flow, const Recipe& recipe, size_t stage) {
  const bool learned = flow.steps > 1 && stage_entry(recipe.flow.step_lengths, stage) == "learned";
  flow.step_lengths = learned ? StepLengths::learned : StepLengths::equal;
  return flow;
}

FlowArch flow_arch(const Recipe& recipe, const Arch& teacher, size_t stage) {
  auto flow = flow_form(recipe, teacher, stage);
  flow.hidden = stage_entry(recipe.flow.hidden, stage);
  const std::string where = format("flow, stage %zu", stage + 1);
  if (flow.hidden == 0) {
    const auto& blocks = std::get<BlocksArch>(teacher.stages[stage].body);
    const auto& shares = blocks.kind == BlockKind::basic ? kBasicShares : kBottleneckShares;
    const double share = stage + 1 == teacher.stages.size() ? shares.last : shares.other;
    const auto budget = static_cast<int64_t>(share * static_cast<double>(part_costs(teacher)[stage + 1].parameters));
    flow.hidden = hidden_for_budget(teacher.stages[stage], flow, budget);
    if (flow.hidden < 1)
      throw RecipeError(
          format("%s: %.1f %% of the teacher's stage leaves no room for a velocity network; "
                 "give flow.hidden, or leave the stage as blocks",
                 where.c_str(), 100 * share));
  }
  return flow;
}

}  // namespace mfi
