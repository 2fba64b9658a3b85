// How long networks take, measured once on each machine.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

#include "mfi/nn/latency.h"

namespace mfi {

/// Times of networks by their Archs, kept in a file, so that an interrupted search goes on with the same ones. Those of
/// another machine, or another number of threads, are measured anew.
class MeasuredTimes {
 public:
  explicit MeasuredTimes(std::filesystem::path file);

  /// For one image, on the CPU (measure_parts).
  PartTimes of(const Network& network);

 private:
  std::filesystem::path file_;
  nlohmann::json times_;
};

}  // namespace mfi
