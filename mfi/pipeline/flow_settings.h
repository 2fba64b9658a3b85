// [flow] of a recipe, for one stage of a teacher.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "mfi/nn/arch.h"
#include "mfi/pipeline/recipe.h"

namespace mfi {

/// A stage's entry (from 0) in a list with one entry for all stages, or one a stage.
template <class T>
T stage_entry(const std::vector<T>& list, size_t stage) {
  return list.empty() ? T() : list[std::min(stage, list.size() - 1)];
}

/// "bottleneck", "pointwise", "depthwise".
std::string velocity_name(VelocityKind kind);

/// Forms of flow stages that a search may try: "recipe" is what [flow] says; "bottleneck", "bottleneck-5",
/// "bottleneck-dilated", "depthwise", "depthwise-5", "depthwise-7" have that velocity network, kernel and dilation
/// instead.
const std::vector<std::string>& flow_form_names();

/// `flow` in one of these forms.
FlowArch in_form(FlowArch flow, const std::string& form);

/// Velocity networks of a flow stage, by [flow], in a network of so many stages.
int64_t flow_modules(const Recipe& recipe, size_t stage, size_t stages);

/// `flow` with steps of the lengths that [flow] says, as it may now take more of them or fewer.
FlowArch with_step_lengths(FlowArch flow, const Recipe& recipe, size_t stage);

/// What [flow] says of a stage, all but the hidden width.
FlowArch flow_form(const Recipe& recipe, const Arch& teacher, size_t stage);

/// The same with the hidden width: the recipe's, or where it says 0 the largest for which the flow stage keeps the
/// method's share of the stage's parameters (docs/method.md). Throws RecipeError when that leaves no room for one.
FlowArch flow_arch(const Recipe& recipe, const Arch& teacher, size_t stage);

}  // namespace mfi
