#include "mfi/train/metrics_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string_view>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/formats/tensorboard_file.h"

namespace mfi {
namespace {

// JSON readers make 3.0 a number with a point, which an epoch is not.
nlohmann::ordered_json json_number(double value) {
  constexpr double kExact = 9007199254740992;  // up to here a double holds every whole number
  if (std::trunc(value) == value && std::abs(value) <= kExact) return static_cast<int64_t>(value);
  return value;  // null where it is not finite
}

// Six digits are enough for what is measured; what is counted has all of its own.
std::string csv_number(double value) {
  const bool is_whole = std::trunc(value) == value && std::abs(value) < 1e15;
  return format(is_whole ? "%.0f" : "%.6g", value);
}

// Not flushed to the device: the file is a copy of what a checkpoint holds.
void append(const std::filesystem::path& file, std::string_view bytes) {
  const auto fail = [&] { throw IoError(file.string() + ": appending failed: " + std::strerror(errno)); };
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor < 0) throw CannotWriteError(file.string() + ": cannot be written: " + std::strerror(errno));
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int error = errno;
      ::close(descriptor);
      errno = error;
      fail();
    }
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (::close(descriptor) != 0) fail();
}

}  // namespace

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
      cells.push_back(cell == row.end() ? "" : csv_number(cell->second));
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

void write_metrics_jsonl(const std::filesystem::path& file, const std::vector<Metrics>& rows) {
  std::string text;
  for (const auto& row : rows) {
    auto json = nlohmann::ordered_json::object();
    for (const auto& [name, value] : row) json[name] = json_number(value);
    text += json.dump() + "\n";
  }
  replace_file(file, text);
}

void write_tensorboard(const std::filesystem::path& file, const std::vector<Metrics>& rows,
                       const std::vector<double>& wall_times) {
  const auto bytes = tensorboard_events(rows, wall_times);
  if (std::filesystem::exists(file))
    if (const auto before = read_file(file); bytes.starts_with(before)) {
      append(file, std::string_view(bytes).substr(before.size()));
      return;
    }
  replace_file(file, bytes);
}

// Names and values are kept as pairs: a JSON object would lose their order.
std::string metrics_to_json(const std::vector<Metrics>& rows) { return nlohmann::json(rows).dump(); }

std::vector<Metrics> metrics_from_json(const std::string& text) {
  return nlohmann::json::parse(text).get<std::vector<Metrics>>();
}

}  // namespace mfi
