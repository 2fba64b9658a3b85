// How long networks take, measured once on each machine.
#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>

#include "mfi/nn/latency.h"

namespace mfi {

/// Times of networks by their Archs, for one image on the CPU (measure_by_turns), kept in a file, so that an
/// interrupted search goes on with the same ones. Those of another machine, or another number of threads, are measured
/// anew. What other work has disturbed is not kept.
class MeasuredTimes {
 public:
  explicit MeasuredTimes(std::filesystem::path file);

  /// Of networks that are to be compared: all of them are measured by turns, however many of them are known already
  /// beside others. `make` gives the network of an Arch. Throws the Error of a stop signal.
  std::vector<PartTimes> of(const std::vector<Arch>& archs,
                            const std::function<std::shared_ptr<Network>(size_t)>& make);

  /// Whether all that was asked for so far was measured without too much other work on the machine.
  bool calm() const { return calm_; }

 private:
  std::filesystem::path file_;
  nlohmann::json times_;
  bool calm_ = true;
};

}  // namespace mfi
