// A run of every step of the method, small enough to be ruined hundreds of times.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mfi/cli/program.h"
#include "mfi/core/error.h"
#include "mfi/formats/safetensors.h"

namespace mfi {

constexpr const char* kTinyRecipe = R"(
name = "tiny"
[data]
dataset = "sample"
limit = 64
[network]
arch = "resnet20"
width = 4
[runtime]
precision = "fp32"
threads = 1
[teacher]
epochs = 2
batch_size = 16
[map]
epochs = 1
batch_size = 16
[meta]
epochs = 1
batch_size = 16
[incubate]
epochs = 1
batch_size = 16
[hybrid]
epochs = 1
batch_size = 16
ema = 0.9
[controls]
no_mapping = true
)";

using Environment = std::vector<std::pair<std::string, std::string>>;

/// A folder with the recipe, a run that nothing disturbed, and runs to compare with it.
class TinyRun {
 public:
  TinyRun() {
    std::ofstream(recipe()) << kTinyRecipe;
    const auto ended = run_program(arguments("whole"));
    if (ended.exit_code != 0) throw std::runtime_error(ended.error);
  }

  fs::path path(const std::string& run) const { return folder_.path() / run; }
  fs::path recipe() const { return folder_.path() / "tiny.toml"; }

  /// Saves a state after every batch, or less often.
  std::vector<std::string> arguments(const std::string& run, const std::string& minutes = "1e-9") const {
    return {
        "run",  recipe().string(), "--out", path(run).string(), "--set", "checkpoint.minutes=" + minutes, "--progress",
        "json", "--no-report"};
  }

  Ended finish(const std::string& run) const { return run_program(arguments(run)); }

  /// Files of the run that differ from those of the undisturbed one, or are missing; models, metrics and results.
  std::vector<std::string> differences(const std::string& run) const {
    std::vector<std::string> out;
    for (const auto& entry : fs::recursive_directory_iterator(path("whole"))) {
      const auto name = entry.path().filename().string();
      const auto relative = fs::relative(entry.path(), path("whole"));
      if (name != "model.safetensors" && name != "predictions.safetensors" && name != "metrics.csv" &&
          name != "metrics.jsonl" && name != "step.json" && name != "results.json")
        continue;
      if (!fs::exists(path(run) / relative) || file_text(path(run) / relative) != file_text(entry.path()))
        out.push_back(relative);
    }
    return out;
  }

  /// Files that are not whole: a model or state that cannot be read, JSON and CSV that end in their midst. What is only
  /// being written (*.part) is none of them.
  std::vector<std::string> broken(const std::string& run) const {
    std::vector<std::string> out;
    if (!fs::exists(path(run))) return out;
    for (const auto& entry : fs::recursive_directory_iterator(path(run))) {
      if (!entry.is_regular_file()) continue;
      const auto ending = entry.path().extension();
      if (ending == ".safetensors") {
        try {
          const auto file = read_safetensors(entry.path());
          if (!file.metadata.contains(kHeaderHash)) out.push_back(entry.path());
        } catch (const Error& error) {
          out.push_back(error.what());
        }
      } else if (ending == ".json" || ending == ".csv" || ending == ".toml") {
        const auto text = file_text(entry.path());
        if (text.empty() || text.back() != '\n') out.push_back(entry.path());
      }
    }
    return out;
  }

  /// Steps with a sound state that are not done: what comes next has to go on with them, not begin anew.
  std::vector<std::string> unfinished(const std::string& run) const {
    std::vector<std::string> out;
    if (!fs::exists(path(run))) return out;
    for (const auto& step : fs::directory_iterator(path(run)))
      if (!fs::exists(step.path() / "step.json") &&
          (fs::exists(step.path() / "state-a.safetensors") || fs::exists(step.path() / "state-b.safetensors")))
        out.push_back(step.path().filename());
    return out;
  }

  /// Those of `steps` with which a program did not go on, by what it wrote.
  static std::vector<std::string> lost(const std::vector<std::string>& steps, const Ended& ended) {
    std::vector<std::string> out;
    for (const auto& step : steps)
      if (ended.error.find("\"text\":\"" + step + ": going on after ") == std::string::npos) out.push_back(step);
    return out;
  }

  void remove(const std::string& run) const { fs::remove_all(path(run)); }

 private:
  TemporaryFolder folder_;
};

/// The number in the environment, or what is usual.
inline int number_from_environment(const char* name, int usual) {
  const char* text = std::getenv(name);
  return text ? std::atoi(text) : usual;
}

}  // namespace mfi
