#include "mfi/train/training_state.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "mfi/core/error.h"
#include "mfi/core/json_number.h"
#include "mfi/core/text.h"
#include "mfi/formats/safetensors.h"
#include "mfi/train/metrics_file.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kNames[] = {"state-a.safetensors", "state-b.safetensors"};
constexpr const char* kFormat = "state-3";

// The rows of finished epochs are a tensor of text: in a long training they outgrow what a header may be.
constexpr const char* kRows = "mfi.rows";

TrainingIdentity identity_in(const std::map<std::string, std::string>& metadata) {
  const auto json = Json::parse(metadata.at("mfi.training"));
  return {json.at("fingerprint"), json.at("family"), json.at("epochs"), json.at("environment")};
}

}  // namespace

std::string TrainingPosition::text(int64_t epochs) const {
  if (batch == 0) return format("epoch %lld of %lld", static_cast<long long>(epoch), static_cast<long long>(epochs));
  return format("batch %lld of epoch %lld of %lld", static_cast<long long>(batch), static_cast<long long>(epoch + 1),
                static_cast<long long>(epochs));
}

// Numbers are written so that reading gives the same bits.
namespace {

// All but what finished epochs have left behind, which grows.
Json place_json(const TrainingPosition& p) {
  return {{"epoch", p.epoch},
          {"batch", p.batch},
          {"sums",
           {{"losses", p.sums.losses},
            {"images", p.sums.images},
            {"correct", p.sums.correct},
            {"seconds", p.sums.seconds}}},
          {"rate_factor", p.rate_factor},
          {"rewinds", p.rewinds},
          {"seconds", p.seconds},
          {"seconds_per_step", p.seconds_per_step}};
}

TrainingPosition place_in(const Json& json) {
  TrainingPosition p;
  p.epoch = json.at("epoch");
  p.batch = json.at("batch");
  const auto& sums = json.at("sums");
  p.sums = {sums.at("losses"), sums.at("images"), sums.at("correct"), sums.at("seconds")};
  p.rate_factor = json.at("rate_factor");
  p.rewinds = json.at("rewinds");
  p.seconds = json.at("seconds");
  p.seconds_per_step = json.at("seconds_per_step");
  return p;
}

Json rows_json(const TrainingPosition& p) {
  Json times = Json::array();
  for (const auto& t : p.times) times.push_back({t.seconds, t.images_per_second, t.wall_time});
  return {{"rows", p.rows}, {"times", times}};
}

void take_rows(const Json& json, TrainingPosition& p) {
  for (const auto& row : json.at("rows")) {
    Metrics metrics;
    for (const auto& item : row) metrics.emplace_back(item.at(0), number_from_json(item.at(1)));
    p.rows.push_back(std::move(metrics));
  }
  for (const auto& t : json.at("times")) p.times.push_back({t.at(0), t.at(1), t.at(2)});
}

// Refers to the text.
torch::Tensor as_tensor(std::string& text) {
  return torch::from_blob(text.data(), {static_cast<int64_t>(text.size())}, torch::kUInt8);
}

}  // namespace

std::string position_to_json(const TrainingPosition& p) {
  return Json{{"place", place_json(p)}, {"rows", rows_json(p)}}.dump();
}

TrainingPosition position_from_json(const std::string& text) {
  const auto json = Json::parse(text);
  auto p = place_in(json.at("place"));
  take_rows(json.at("rows"), p);
  return p;
}

struct StateFiles::Slot {
  fs::path file;
  int64_t sequence = -1;
  TrainingIdentity identity;
  TrainingPosition position;  // without rows
  size_t rows_bytes = 0;
  std::string damaged;  // why its header cannot be read
};

std::vector<StateFiles::Slot> StateFiles::slots() const {
  std::vector<Slot> out;
  for (const char* name : kNames) {
    Slot slot;
    slot.file = folder_ / name;
    if (!fs::exists(slot.file)) continue;
    try {
      const auto metadata = read_safetensors_metadata(slot.file);
      if (const auto found = metadata.find("mfi.format"); found == metadata.end() || found->second != kFormat)
        throw CheckpointError(slot.file.string() + ": is no state of a training of this version of mfi");
      require_hashes(metadata, slot.file);
      slot.sequence = std::stoll(metadata.at("mfi.sequence"));
      slot.identity = identity_in(metadata);
      const auto place = Json::parse(metadata.at("mfi.position"));
      slot.position = place_in(place);
      slot.rows_bytes = place.at("rows_bytes");
    } catch (const Error& error) {
      slot.damaged = error.what();
    } catch (const std::exception& error) {
      slot.damaged = slot.file.string() + ": " + error.what();
    }
    out.push_back(std::move(slot));
  }
  // A file whose header is damaged counts as the newest: it may have been, and its neighbour is then what is left.
  std::stable_sort(out.begin(), out.end(), [](const Slot& a, const Slot& b) {
    return a.damaged.empty() == b.damaged.empty() ? a.sequence > b.sequence : !a.damaged.empty();
  });
  return out;
}

void StateFiles::save(const TrainingIdentity& identity, const TrainingPosition& position, const NamedTensors& tensors) {
  const std::string name = newest_ == kNames[0] ? kNames[1] : kNames[0];
  const Json training{{"fingerprint", identity.fingerprint},
                      {"family", identity.family},
                      {"epochs", identity.epochs},
                      {"environment", identity.environment}};
  auto place = place_json(position);
  auto rows = rows_json(position).dump();
  place["rows_bytes"] = rows.size();
  auto all = tensors;
  all.emplace_back(kRows, as_tensor(rows));
  save_tensors(folder_ / name, all,
               {{"mfi.format", kFormat},
                {"mfi.sequence", std::to_string(sequence_ + 1)},
                {"mfi.training", training.dump()},
                {"mfi.position", place.dump()}});
  newest_ = name;
  ++sequence_;
}

std::optional<StateFiles::Found> StateFiles::load(const TrainingIdentity& identity, const NamedTensors& tensors) {
  std::string damaged;
  const auto note = [&](const std::string& problem) {
    if (damaged.empty()) damaged = problem;
  };
  for (auto& slot : slots()) {
    sequence_ = std::max(sequence_, slot.sequence);
    try {
      if (!slot.damaged.empty()) throw CheckpointError(slot.damaged);
      if (!fits({slot.identity, slot.position, slot.file, ""}, identity)) continue;
      std::string rows(slot.rows_bytes, ' ');
      auto all = tensors;
      all.emplace_back(kRows, as_tensor(rows));
      load_tensors(slot.file, all);
      take_rows(Json::parse(rows), slot.position);
    } catch (const Error& error) {
      note(error.what());
      continue;
    } catch (const Json::exception& error) {
      note(slot.file.string() + ": " + error.what());
      continue;
    }
    newest_ = slot.file.filename();
    return Found{slot.identity, slot.position, slot.file, damaged};
  }
  if (!damaged.empty())
    throw CheckpointError(damaged + ". No other state of this training is whole; to train the step anew, remove " +
                          folder_.string() + "/state-*.safetensors");
  return std::nullopt;
}

std::optional<StateFiles::Found> StateFiles::peek() const {
  for (auto& slot : slots())
    if (slot.damaged.empty()) return Found{slot.identity, slot.position, slot.file, ""};
  return std::nullopt;
}

bool StateFiles::fits(const Found& found, const TrainingIdentity& training) {
  if (found.identity.fingerprint == training.fingerprint) return true;
  return !training.family.empty() && found.identity.family == training.family &&
         found.identity.epochs <= training.epochs;
}

void StateFiles::remove() const {
  std::error_code ignored;  // a state that stays behind costs space, nothing else
  for (const char* name : kNames) fs::remove(folder_ / name, ignored);
}

void StateFiles::keep_newest() const {
  std::error_code ignored;
  bool first = true;
  for (const auto& slot : slots()) {
    if (first && slot.damaged.empty())
      first = false;
    else
      fs::remove(slot.file, ignored);
  }
}

uint64_t StateFiles::bytes() const {
  uint64_t sum = 0;
  for (const char* name : kNames) {
    std::error_code error;
    const auto size = fs::file_size(folder_ / name, error);
    if (!error) sum += size;
  }
  return sum;
}

void write_logs(const fs::path& folder, const TrainingPosition& position) {
  write_metrics_csv(folder / "metrics.csv", position.rows);
  write_metrics_jsonl(folder / "metrics.jsonl", position.rows);
  std::vector<double> wall_times;
  for (const auto& t : position.times) wall_times.push_back(t.wall_time);
  write_tensorboard(folder / "events.out.tfevents.mfi", position.rows, wall_times);
  std::vector<Metrics> times;
  for (size_t i = 0; i < position.times.size(); ++i) {
    const auto& t = position.times[i];
    times.push_back({{"epoch", static_cast<double>(i + 1)},
                     {"seconds", t.seconds},
                     {"images_per_second", t.images_per_second},
                     {"wall_time", std::floor(t.wall_time)}});
  }
  write_metrics_csv(folder / "timing.csv", times);
}

}  // namespace mfi
