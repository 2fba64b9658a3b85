// Parameters and multiply-accumulates of a network, counted from its Arch alone.
#pragma once

#include <string>
#include <vector>

#include "mfi/nn/arch.h"

namespace mfi {

/// Cost of one part for one image.
struct Cost {
  std::string part;                        // "stem", "stage1", ..., "head"
  int64_t parameters = 0;                  // what training changes; batch-norm statistics are not among them
  int64_t macs = 0;                        // multiply-accumulates of convolutions and linear layers (1 MAC = 2 FLOP)
  int64_t activations = 0;                 // elements that the convolutions and linear layers write
  int64_t out_channels = 0, out_size = 0;  // the part's output is [out_channels, out_size, out_size]
};

/// Cost of each part, in order.
std::vector<Cost> part_costs(const Arch& arch);

/// The sum over all parts; `part` is the Arch's name.
Cost total_cost(const Arch& arch);

/// Cost of one stage whose input is [in_channels, input_size, input_size].
Cost stage_cost(const StageArch& stage, int64_t input_size, bool folded = false);

}  // namespace mfi
