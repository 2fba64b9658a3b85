// Files of torch.save, both layouts: every element that a tensor views is there to be read.
#include "fuzz/target.h"
#include "mfi/formats/torch_file.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  const auto file = parse_torch_file(bytes, "input");
  unsigned sum = 0;
  for (const auto& dict : file.state_dicts)
    for (const auto& [name, tensor] : dict.tensors) {
      if (!tensor.problem.empty()) continue;
      int64_t count = 1, last = tensor.offset;
      for (size_t i = 0; i < tensor.shape.size(); ++i) {
        count *= tensor.shape[i];
        if (tensor.shape[i] > 0) last += (tensor.shape[i] - 1) * tensor.strides[i];
      }
      if (count == 0) continue;
      for (const auto element : {tensor.offset, last}) {
        const auto* at = tensor.storage + static_cast<size_t>(element) * element_size(tensor.type);
        for (size_t i = 0; i < element_size(tensor.type); ++i) sum += static_cast<unsigned>(at[i]);
      }
    }
  volatile unsigned read = sum;  // so that the reads stay
  (void)read;
}

}  // namespace mfi::fuzz
