// Putting a step's network together from the models of the steps before it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "mfi/nn/network.h"
#include "mfi/pipeline/plan.h"

namespace mfi {

/// The model of a finished step, by the step's name.
using FindModel = std::function<std::shared_ptr<const Network>(const std::string& step)>;

/// A network of step.arch: each part from the step that it names, or with starting weights drawn
/// from `seed`. The models found are left as they are.
std::shared_ptr<Network> assemble_student(const PlannedStep& step, uint64_t seed, const FindModel& find);

}  // namespace mfi
