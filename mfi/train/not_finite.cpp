#include "mfi/train/not_finite.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "mfi/core/atomic_file.h"
#include "mfi/core/text.h"
#include "mfi/train/finite.h"

namespace mfi {

std::string images_text(const Batch& batch) {
  constexpr size_t kMostNamed = 8;
  std::vector<std::string> bad, all;
  for (size_t i = 0; i < batch.indices.size(); ++i) {
    if (all.size() < kMostNamed) all.push_back(std::to_string(batch.indices[i]));
    if (bad.size() < kMostNamed && !all_finite(batch.images[static_cast<int64_t>(i)]))
      bad.push_back(std::to_string(batch.indices[i]));
  }
  if (!bad.empty()) return "not finite themselves: training images " + join(bad, ", ");
  const size_t more = batch.indices.size() - all.size();
  return "training images " + join(all, ", ") + (more > 0 ? format(" and %zu more", more) : "");
}

void write_nonfinite(const std::filesystem::path& file, const NotFinite& found, const Batch& batch) {
  const nlohmann::ordered_json json{{"step", found.step},
                                    {"what", found.what},
                                    {"epoch", found.epoch},
                                    {"batch", found.batch},
                                    {"learning_rate", found.learning_rate},
                                    {"training_images", batch.indices}};
  replace_file(file, json.dump(2) + "\n");
}

}  // namespace mfi
