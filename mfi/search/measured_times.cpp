#include "mfi/search/measured_times.h"

#include "mfi/core/atomic_file.h"
#include "mfi/core/sha256.h"
#include "mfi/core/stop_signal.h"
#include "mfi/pipeline/machine.h"

namespace mfi {
namespace {

PartTimes measured(const Network& network) {
  const auto copy = clone_network(network);
  copy->to(torch::kCPU);
  return measure_calmly(*copy, 1);
}

std::string text_of(Arch arch) {
  arch.name.clear();
  return arch_to_json(arch);
}

}  // namespace

MeasuredTimes::MeasuredTimes(std::filesystem::path file) : file_(std::move(file)) {
  try {
    if (std::filesystem::exists(file_)) times_ = nlohmann::json::parse(read_file(file_));
    if (times_.is_object() && times_.value("machine", "") == machine_text() && times_.contains("compared")) return;
  } catch (const nlohmann::json::exception&) {  // of another version
  }
  times_ = {
      {"machine", machine_text()}, {"networks", nlohmann::json::object()}, {"compared", nlohmann::json::object()}};
}

PartTimes MeasuredTimes::of(const Network& network) {
  const auto key = text_of(network.arch());
  if (const auto known = times_["networks"].find(key); known != times_["networks"].end())
    return {known->at("milliseconds").get<std::vector<double>>(), known->at("whole"), known->at("spread")};
  const auto times = measured(network);
  if (times.spread > kLargestSpread)
    calm_ = false;
  else
    keep("networks", key, {{"milliseconds", times.milliseconds}, {"whole", times.whole}, {"spread", times.spread}});
  return times;
}

std::vector<double> MeasuredTimes::of_all(const std::vector<Arch>& archs,
                                          const std::function<std::shared_ptr<Network>(size_t)>& make) {
  std::string text;
  for (const auto& arch : archs) text += text_of(arch) + "\n";
  const auto key = sha256_text(text);
  if (const auto known = times_["compared"].find(key); known != times_["compared"].end())
    return known->get<std::vector<double>>();
  std::vector<double> out;
  bool all_calm = true;
  for (size_t i = 0; i < archs.size(); ++i) {
    throw_if_stopped();
    const auto times = measured(*make(i));
    out.push_back(times.whole);
    all_calm = all_calm && times.spread <= kLargestSpread;
  }
  if (all_calm)
    keep("compared", key, out);
  else
    calm_ = false;
  return out;
}

void MeasuredTimes::keep(const std::string& kind, const std::string& key, nlohmann::json value) {
  times_[kind][key] = std::move(value);
  replace_file(file_, times_.dump(2) + "\n");
}

}  // namespace mfi
