#include "mfi/search/measured_times.h"

#include "mfi/core/atomic_file.h"
#include "mfi/core/sha256.h"
#include "mfi/pipeline/machine.h"

namespace mfi {
namespace {

std::string text_of(Arch arch) {
  arch.name.clear();
  return arch_to_json(arch);
}

}  // namespace

MeasuredTimes::MeasuredTimes(std::filesystem::path file) : file_(std::move(file)) {
  try {
    if (std::filesystem::exists(file_)) times_ = nlohmann::json::parse(read_file(file_));
    if (times_.is_object() && times_.value("machine", "") == machine_text() && times_.contains("by_turns")) return;
  } catch (const nlohmann::json::exception&) {  // of another version
  }
  times_ = {{"machine", machine_text()}, {"by_turns", nlohmann::json::object()}};
}

std::vector<PartTimes> MeasuredTimes::of(const std::vector<Arch>& archs,
                                         const std::function<std::shared_ptr<Network>(size_t)>& make) {
  std::string text;
  for (const auto& arch : archs) text += text_of(arch) + "\n";
  const auto key = sha256_text(text);
  std::vector<PartTimes> out;
  if (const auto known = times_["by_turns"].find(key); known != times_["by_turns"].end()) {
    for (const auto& each : *known)
      out.push_back({each.at("milliseconds").get<std::vector<double>>(), each.at("whole"), each.at("spread")});
    return out;
  }
  out = measure_by_turns(archs.size(), make, 1);
  if (worst_spread(out) > kLargestSpread) {
    calm_ = false;
    return out;
  }
  auto& kept = times_["by_turns"][key] = nlohmann::json::array();
  for (const auto& each : out)
    kept.push_back({{"milliseconds", each.milliseconds}, {"whole", each.whole}, {"spread", each.spread}});
  replace_file(file_, times_.dump(2) + "\n");
  return out;
}

}  // namespace mfi
