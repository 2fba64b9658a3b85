#include "mfi/train/metrics_file.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mfi/core/atomic_file.h"
#include "mfi/core/text.h"

namespace mfi {

void write_metrics_csv(const std::filesystem::path& file, const std::vector<Metrics>& rows) {
  std::vector<std::string> names;
  for (const auto& row : rows)
    for (const auto& [name, value] : row)
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  std::string text = join(names, ",") + "\n";
  for (const auto& row : rows) {
    std::vector<std::string> cells;
    for (const auto& name : names) {
      const auto cell = std::find_if(row.begin(), row.end(), [&](const auto& c) { return c.first == name; });
      cells.push_back(cell == row.end() ? "" : format("%.6g", cell->second));
    }
    text += join(cells, ",") + "\n";
  }
  replace_file(file, text);
}

// Names and values are kept as pairs: a JSON object would lose their order.
std::string metrics_to_json(const std::vector<Metrics>& rows) { return nlohmann::json(rows).dump(); }

std::vector<Metrics> metrics_from_json(const std::string& text) {
  return nlohmann::json::parse(text).get<std::vector<Metrics>>();
}

}  // namespace mfi
