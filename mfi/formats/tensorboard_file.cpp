#include "mfi/formats/tensorboard_file.h"

#include <protozero/pbf_writer.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <stdexcept>

namespace mfi {
namespace {

using protozero::pbf_writer;

// Numbers of the fields in event.proto and summary.proto.
namespace field {
constexpr uint32_t kEventWallTime = 1, kEventStep = 2, kEventFileVersion = 3, kEventSummary = 5;
constexpr uint32_t kSummaryValue = 1;
constexpr uint32_t kValueTag = 1, kValueSimple = 2;
}  // namespace field

constexpr std::array<uint32_t, 256> crc_table() {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, bits reversed
  std::array<uint32_t, 256> out{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
    out[byte] = crc;
  }
  return out;
}

// TensorFlow stores a CRC turned and shifted, since the CRC of bytes that hold their own CRC says little.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

template <class Integer>
void add_little_endian(std::string& out, Integer value) {
  for (size_t i = 0; i < sizeof(Integer); ++i) out.push_back(static_cast<char>(value >> (8 * i) & 0xff));
}

// A double that no float can hold becomes an infinity; the language leaves the bare conversion open.
float to_float(double value) {
  if (std::isfinite(value) && std::abs(value) > std::numeric_limits<float>::max())
    return std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(value > 0 ? 1 : -1));
  return static_cast<float>(value);
}

std::string version_event(double wall_time) {
  std::string out;
  pbf_writer event(out);
  event.add_double(field::kEventWallTime, wall_time);
  event.add_string(field::kEventFileVersion, "brain.Event:2");
  return out;
}

std::string row_event(const std::vector<std::pair<std::string, double>>& row, int64_t step, double wall_time) {
  std::string out;
  pbf_writer event(out);
  event.add_double(field::kEventWallTime, wall_time);
  event.add_int64(field::kEventStep, step);
  pbf_writer summary(event, field::kEventSummary);
  for (const auto& [name, number] : row) {
    if (name == "epoch") continue;
    pbf_writer value(summary, field::kSummaryValue);
    value.add_string(field::kValueTag, name);
    value.add_float(field::kValueSimple, to_float(number));
  }
  return out;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = crc_table();
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  return ~crc;
}

std::string tensorboard_record(std::string_view data) {
  std::string out;
  add_little_endian(out, static_cast<uint64_t>(data.size()));
  add_little_endian(out, masked_crc(out));
  out += data;
  add_little_endian(out, masked_crc(data));
  return out;
}

std::string tensorboard_events(const std::vector<std::vector<std::pair<std::string, double>>>& rows,
                               const std::vector<double>& wall_times) {
  if (rows.size() != wall_times.size())
    throw std::invalid_argument("tensorboard_events: " + std::to_string(rows.size()) + " rows, " +
                                std::to_string(wall_times.size()) + " times; expected one time for each row");
  std::string out;
  if (rows.empty()) return out;
  out += tensorboard_record(version_event(wall_times[0]));
  for (size_t i = 0; i < rows.size(); ++i) {
    auto step = static_cast<int64_t>(i + 1);
    for (const auto& [name, number] : rows[i])
      if (name == "epoch" && std::abs(number) < 1e15) step = std::llround(number);
    out += tensorboard_record(row_event(rows[i], step, wall_times[i]));
  }
  return out;
}

}  // namespace mfi
