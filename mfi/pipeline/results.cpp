#include "mfi/pipeline/results.h"

#include <nlohmann/json.hpp>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/json_number.h"

namespace mfi {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const StepResult& r) {
  Json details = Json::object();
  for (const auto& [name, value] : r.details) details[name] = value;
  return {{"step", r.step},
          {"purpose", r.purpose},
          {"network", r.network},
          {"control", r.control},
          {"shown", r.shown},
          {"epochs", r.epochs},
          {"threads", r.threads},
          {"parameters", r.parameters},
          {"macs", r.macs},
          {"test_top1_percent", r.test_top1_percent},
          {"test_loss", r.test_loss},
          {"details", details},
          {"fingerprint", r.fingerprint},
          {"model_sha256", r.model_sha256}};
}

StepResult step_from_json(const Json& json) {
  StepResult r;
  r.step = json.at("step");
  r.purpose = json.at("purpose");
  r.network = json.at("network");
  r.control = json.at("control");
  r.shown = json.at("shown");
  r.epochs = json.at("epochs");
  r.threads = json.value("threads", int64_t{0});  // older records have none
  r.parameters = json.at("parameters");
  r.macs = json.at("macs");
  r.test_top1_percent = json.at("test_top1_percent");
  r.test_loss = number_from_json(json.at("test_loss"));
  r.seconds = json.value("seconds", 0.0);  // of records from before timing.json
  r.seconds_per_step = json.value("seconds_per_step", 0.0);
  for (const auto& item : json.at("details").items())
    r.details.emplace_back(item.key(), number_from_json(item.value()));
  r.fingerprint = json.at("fingerprint");
  r.model_sha256 = json.at("model_sha256");
  return r;
}

std::filesystem::path timing_file(const std::filesystem::path& file) { return file.parent_path() / "timing.json"; }

// Of steps by name. A file that is not there or not sound costs the times, nothing else.
void read_times(const std::filesystem::path& file, std::vector<StepResult>& steps) {
  try {
    const auto json = Json::parse(read_file(timing_file(file)));
    for (auto& step : steps) {
      if (!json.contains(step.step)) continue;
      step.seconds = json.at(step.step).at("seconds");
      step.seconds_per_step = json.at(step.step).at("seconds_per_step");
    }
  } catch (const Error&) {
  } catch (const nlohmann::json::exception&) {
  }
}

void write_times(const std::filesystem::path& file, const std::vector<StepResult>& steps) {
  Json json = Json::object();
  for (const auto& step : steps)
    json[step.step] = {{"seconds", step.seconds}, {"seconds_per_step", step.seconds_per_step}};
  replace_file(timing_file(file), json.dump(2) + "\n");
}

template <typename Read>
auto read_json(const std::filesystem::path& file, const Read& read) {
  const auto text = read_file(file);
  try {
    return read(Json::parse(text));
  } catch (const nlohmann::json::exception& error) {
    throw DataError(file.string() + ": expected what `mfi run` writes there, but it cannot be read (" + error.what() +
                    "); remove it and run the recipe again");
  }
}

}  // namespace

const StepResult* RunResults::find(const std::string& name) const {
  for (const auto& step : steps)
    if (step.step == name) return &step;
  return nullptr;
}

void write_results(const std::filesystem::path& file, const RunResults& results) {
  Json json{{"run", results.run},
            {"dataset", results.dataset},
            {"training_images", results.training_images},
            {"test_images", results.test_images},
            {"machine", results.machine},
            {"version", results.version},
            {"precision", results.precision},
            {"data_fingerprint", results.data_fingerprint},
            {"steps", Json::array()}};
  if (results.unlabelled_pictures > 0) {
    json["unlabelled_pictures"] = results.unlabelled_pictures;
    json["unlabelled_fingerprint"] = results.unlabelled_fingerprint;
  }
  for (const auto& step : results.steps) json["steps"].push_back(to_json(step));
  write_times(file, results.steps);
  replace_file(file, json.dump(2) + "\n");
}

RunResults read_results(const std::filesystem::path& file) {
  auto results = read_json(file, [](const Json& json) {
    RunResults out;
    out.run = json.at("run");
    out.dataset = json.at("dataset");
    out.training_images = json.at("training_images");
    out.test_images = json.at("test_images");
    out.machine = json.at("machine");
    out.version = json.at("version");
    out.precision = json.at("precision");
    out.data_fingerprint = json.value("data_fingerprint", std::string());  // older records have none
    out.unlabelled_pictures = json.value("unlabelled_pictures", int64_t{0});
    out.unlabelled_fingerprint = json.value("unlabelled_fingerprint", std::string());
    for (const auto& step : json.at("steps")) out.steps.push_back(step_from_json(step));
    return out;
  });
  read_times(file, results.steps);
  return results;
}

void write_step_result(const std::filesystem::path& file, const StepResult& result) {
  write_times(file, {result});
  replace_file(file, to_json(result).dump(2) + "\n");
}

StepResult read_step_result(const std::filesystem::path& file) {
  std::vector<StepResult> steps{read_json(file, [](const Json& json) { return step_from_json(json); })};
  read_times(file, steps);
  return steps.front();
}

}  // namespace mfi
