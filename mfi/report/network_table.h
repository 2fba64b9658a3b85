// A network, part by part, as a table.
#pragma once

#include <string>

#include "mfi/nn/arch.h"

namespace mfi {

/// One row a part: what it is, output shape, parameters, MACs; then the totals.
std::string network_table(const Arch& arch);

/// "4 bottleneck blocks, width 64" or "flow: 2 modules, hidden 172".
std::string stage_text(const StageArch& stage);

/// The same of any part: 0 the stem, then the stages, then the head.
std::string part_text(const Arch& arch, size_t part);

/// A network part by part beside another, "teacher": parameters, MACs, activations and milliseconds, each with its
/// share of the other's. milliseconds: one number a part, of either.
std::string comparison_table(const Arch& arch, const std::vector<double>& milliseconds, const Arch& other,
                             const std::vector<double>& other_milliseconds);

}  // namespace mfi
