// The description of a network in a model file: what is read is written and read again.
#include "fuzz/target.h"
#include "mfi/nn/arch.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  const auto arch = arch_from_json(std::string(bytes));
  arch.validate();
  const auto again = arch_from_json(arch_to_json(arch));
  require(again == arch && first_difference(again, arch).empty(), "a network is written as it was read");
}

}  // namespace mfi::fuzz
