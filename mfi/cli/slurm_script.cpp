#include "mfi/cli/slurm_script.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "mfi/cli/shell_word.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

constexpr double kTimeFactor = 2, kExtraSeconds = 600;
constexpr double kMemoryFactor = 1.25, kExtraBytes = 512.0 * (1 << 20);

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
  return text;
}

// "id_incubate_1": the shell's variable for a step's job.
std::string variable(const std::string& step) { return "id_" + replaced(step, "-", "_"); }

std::string time_text(double seconds) {
  const auto minutes = static_cast<long long>(std::ceil((kTimeFactor * seconds + kExtraSeconds) / 60));
  return format("%02lld:%02lld:00", minutes / 60, minutes % 60);
}

// What of the dataset is in memory, as bytes of pixels.
double dataset_bytes(const DataSettings& settings, const DataShape& data) {
  const auto side = static_cast<double>(data.image_size);
  const auto unlabelled = static_cast<double>(data.unlabelled_pictures);
  if (settings.dataset != "pictures")
    return 3 * side * side * ((settings.dataset == "sample" ? 6000 : 60000) + unlabelled);
  if (settings.cache != "memory") return 0;
  // At most, a photograph of 4 : 3 that random parts are drawn from; and of the test, what is held out for it by
  // default.
  const double kept = 3 * (4.0 / 3) * (side * 8 / 7) * (side * 8 / 7);
  return kept * (1.25 * static_cast<double>(data.training_images + data.validation_images) + unlabelled);
}

std::string memory_text(const Recipe& recipe, const DataShape& data, double bytes) {
  const double quarters =
      (kMemoryFactor * bytes + 2 * dataset_bytes(recipe.data, data) + kExtraBytes) / (256.0 * (1 << 20));
  return std::to_string(256 * static_cast<long long>(std::ceil(quarters))) + "M";
}

// Steps that no other needs: when these have ended, all have.
std::vector<std::string> last_steps(const Plan& plan) {
  std::set<std::string> needed;
  for (const auto& step : plan.steps)
    for (const auto& input : step.inputs()) needed.insert(input);
  std::vector<std::string> out;
  for (const auto& step : plan.steps)
    if (!needed.contains(step.name)) out.push_back(step.name);
  return out;
}

// "afterok:$id_meta:$id_teacher", in double quotes; '' for no step.
std::string dependency(const std::string& kind, const std::vector<std::string>& steps) {
  if (steps.empty()) return "''";
  std::string out = "\"" + kind;
  for (const auto& step : steps) out += ":$" + variable(step);
  return out + "\"";
}

std::string command(const std::vector<std::string>& words) {
  std::vector<std::string> out;
  for (const auto& word : words) out.push_back(shell_quoted(word));
  return "exec " + join(out, " ");
}

std::string job(const std::string& name, const std::string& after, const std::string& limits,
                const std::vector<std::string>& words) {
  return "submit " + name + " " + after + limits + " <<'JOB'\n#!/bin/sh\n" + command(words) + "\nJOB\n";
}

std::string step_job(const Recipe& recipe, const DataShape& data, const PlannedStep& step, const StepEstimate& estimate,
                     const SlurmSettings& settings) {
  std::vector<std::string> words{settings.program, "run", settings.recipe, "--out", settings.out};
  if (!settings.data.empty()) words.insert(words.end(), {"--data", settings.data});
  if (!settings.unlabelled.empty()) words.insert(words.end(), {"--unlabelled", settings.unlabelled});
  for (const auto& setting : settings.settings) words.insert(words.end(), {"--set", setting});
  // Said in so many words, since it moves results by rounding: nodes have different numbers of cores.
  words.insert(words.end(), {"--set", "runtime.threads=" + std::to_string(settings.threads)});
  words.insert(words.end(), {"--progress", "plain", "--yes", "--only", step.name});

  std::string limits, about;
  if (estimate.seconds >= 0) {
    limits += " --time=" + time_text(estimate.seconds);
    about += "; about " + duration_text(estimate.seconds);
  }
  if (estimate.memory_bytes >= 0) {
    limits += " --mem=" + memory_text(recipe, data, estimate.memory_bytes);
    about += (about.empty() ? "; about " : ", ") + bytes_text(estimate.memory_bytes);
  }
  return "\n# " + step.name + ": " + step.purpose + about + "\n" +
         job(step.name, dependency("afterok", step.inputs()), limits, words) + variable(step.name) + "=$job\n";
}

}  // namespace

std::string slurm_script(const Recipe& recipe, const Plan& plan, const std::map<std::string, StepEstimate>& estimates,
                         const SlurmSettings& settings) {
  std::string arguments;
  for (const auto& argument : settings.sbatch) arguments += "    " + shell_quoted(argument) + " \\\n";
  if (recipe.runtime.device == "cuda") arguments += "    --gres=gpu:1 \\\n";

  std::string out =
      "#!/bin/sh\n# The run " + recipe.name +
      " as Slurm jobs, one a step, written by 'mfi plan'. Submit them all with\n"
      "#\n"
      "#     sh THIS_FILE\n"
      "#\n"
      "# where sbatch is. Steps that do not need each other may run at once, on different nodes; all nodes must\n"
      "# see the paths below. The logs are in RUN/slurm.\n"
      "#\n"
      "# A job that Slurm requeues goes on from its last saved state. So does one that ran out of time or\n"
      "# failed when this script is run again, once the jobs of the first time have left the queue: steps that\n"
      "# are done end at once.\n";
  if (!estimates.empty())
    out +=
        "#\n# Times and memory are estimates from the machine that wrote this; a job may take twice the time and ten\n"
        "# minutes, and a quarter more memory beside what the dataset needs.\n";
  out += "set -eu\n\n";
  out += "run=" + shell_quoted(settings.out) + "\n";
  // In the name of a log, Slurm takes % for the begin of a pattern.
  out += "logs=" + shell_quoted(replaced(settings.out / "slurm", "%", "%%")) + "\n";
  out += "mkdir -p \"$run/slurm\"\n";
  out += R"(
# submit NAME AFTER ARGUMENTS...: submits standard input as a job; its number is then in $job.
submitted=
submit() {
  name=$1 after=$2
  shift 2
  job=$(sbatch --parsable --job-name=)" +
         shell_quoted(recipe.name) + R"(-"$name" ${after:+"--dependency=$after"} \
    --kill-on-invalid-dep=yes --requeue --nodes=1 --ntasks=1 --cpus-per-task=)" +
         std::to_string(settings.threads) + R"( \
    --open-mode=append --output="$logs/$name.log" \
)" + arguments +
         R"(    "$@") || {
    echo "$0: $name was not submitted; 'scancel$submitted' takes back what was" >&2
    exit 1
  }
  job=${job%%;*} # of "number;cluster"
  submitted="$submitted $job"
  echo "$name: job $job${after:+, $after}"
}
)";
  for (const auto& step : plan.steps) {
    const auto found = estimates.find(step.name);
    out += step_job(recipe, plan.data, step, found == estimates.end() ? StepEstimate{} : found->second, settings);
  }
  out += "\n# The table, also when a step has failed.\n" + job("report", dependency("afterany", last_steps(plan)),
                                                               " --time=00:10:00 --mem=1024M",
                                                               {settings.program, "report", settings.out});
  return out;
}

}  // namespace mfi
