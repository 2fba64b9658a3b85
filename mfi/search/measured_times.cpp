#include "mfi/search/measured_times.h"

#include "mfi/core/atomic_file.h"
#include "mfi/pipeline/machine.h"

namespace mfi {

MeasuredTimes::MeasuredTimes(std::filesystem::path file) : file_(std::move(file)) {
  try {
    if (std::filesystem::exists(file_)) times_ = nlohmann::json::parse(read_file(file_));
    if (times_.is_object() && times_.value("machine", "") == machine_text()) return;
  } catch (const nlohmann::json::exception&) {  // of another version
  }
  times_ = {{"machine", machine_text()}, {"networks", nlohmann::json::object()}};
}

PartTimes MeasuredTimes::of(const Network& network) {
  auto arch = network.arch();
  arch.name.clear();
  auto& known = times_["networks"][arch_to_json(arch)];
  if (!known.is_object()) {
    const auto copy = clone_network(network);
    copy->to(torch::kCPU);
    const auto times = measure_parts(*copy, 1);
    known = {{"milliseconds", times.milliseconds}, {"whole", times.whole}, {"spread", times.spread}};
    replace_file(file_, times_.dump(2) + "\n");
  }
  return {known.at("milliseconds").get<std::vector<double>>(), known.at("whole"), known.at("spread")};
}

}  // namespace mfi
