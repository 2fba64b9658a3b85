#include "mfi/train/metrics_file.h"

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
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

std::vector<Metrics> read_metrics_csv(const std::filesystem::path& file) {
  std::istringstream lines(read_file(file));
  std::vector<std::string> names;
  std::vector<Metrics> rows;
  std::string line;
  for (size_t number = 1; std::getline(lines, line); ++number) {
    if (line.empty()) continue;
    std::vector<std::string> cells;
    std::istringstream rest(line);
    for (std::string cell; std::getline(rest, cell, ',');) cells.push_back(cell);
    if (names.empty()) {
      names = cells;
      continue;
    }
    Metrics row;
    bool sound = cells.size() <= names.size();
    for (size_t i = 0; sound && i < cells.size(); ++i) {
      if (cells[i].empty()) continue;
      char* end = nullptr;
      const double value = std::strtod(cells[i].c_str(), &end);  // takes "nan" and "inf" too
      sound = *end == '\0';
      row.emplace_back(names[i], value);
    }
    if (!sound) throw DataError(format("%s:%zu: expected a number for each name", file.c_str(), number));
    rows.push_back(row);
  }
  return rows;
}

// Names and values are kept as pairs: a JSON object would lose their order.
std::string metrics_to_json(const std::vector<Metrics>& rows) { return nlohmann::json(rows).dump(); }

std::vector<Metrics> metrics_from_json(const std::string& text) {
  return nlohmann::json::parse(text).get<std::vector<Metrics>>();
}

}  // namespace mfi
