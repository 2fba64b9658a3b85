// mfi plan
#include <ATen/Parallel.h>

#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/probe.h"
#include "mfi/cli/progress_option.h"
#include "mfi/cli/slurm_script.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/pipeline/machine.h"
#include "mfi/pipeline/plan.h"
#include "mfi/report/network_table.h"
#include "mfi/report/text_table.h"

namespace mfi {
namespace {

using Estimates = std::map<std::string, StepEstimate>;

struct PlanArguments {
  std::string recipe, slurm, out, data, unlabelled;
  std::vector<std::string> settings, sbatch;
  bool probe = true, json = false;
};

double parameters(const Arch& arch) { return static_cast<double>(total_cost(arch).parameters); }
double macs(const Arch& arch) { return static_cast<double>(total_cost(arch).macs); }

// Runs of parts in few words: "all", "stage2", "all but stem".
std::string learns_text(const PlannedStep& step) {
  std::vector<std::string> learning, resting;
  bool only_velocity = false;
  for (size_t i = 0; i < step.learns.size(); ++i) {
    if (step.learns[i] == Learns::nothing) {
      resting.push_back(part_name(step.arch, i));
      continue;
    }
    only_velocity = only_velocity || step.learns[i] == Learns::velocity;
    learning.push_back(part_name(step.arch, i));
  }
  if (step.kind == StepKind::given) return "nothing";
  if (step.kind == StepKind::map)
    return std::all_of(step.arch.stages.begin(), step.arch.stages.end(), [](const auto& s) { return s.is_flow(); })
               ? "each flow stage"
               : join(learning, ", ");
  if (only_velocity) return "velocity networks";
  if (resting.empty()) return "all";
  return resting.size() < learning.size() ? "all but " + join(resting, ", ") : join(learning, ", ");
}

/// The plan's networks that differ in shape, with their names.
std::vector<std::pair<std::string, const Arch*>> networks(const Plan& plan) {
  std::vector<std::pair<std::string, const Arch*>> out{{"teacher", &plan.teacher}};
  if (plan.meta != plan.hybrid) out.emplace_back("meta", &plan.meta);
  out.emplace_back("hybrid", &plan.hybrid);
  for (const auto& step : plan.steps)
    if (step.name == "smaller-resnet" || step.name == "distilled-resnet") {
      out.emplace_back(step.name, &step.arch);
      break;  // both are the same network
    }
  return out;
}

std::string steps_table(const Plan& plan, const Estimates& estimates) {
  using Align = TextTable::Align;
  TextTable table({{"step"},
                   {"network"},
                   {"learns"},
                   {"epochs", Align::right},
                   {"batch", Align::right},
                   {"parameters", Align::right},
                   {"time", Align::right},
                   {"memory", Align::right}});
  double seconds = 0;
  bool in_controls = false;
  for (const auto& step : plan.steps) {
    if (step.control && !in_controls) table.add_rule();
    in_controls = step.control;
    std::string time = "-", memory = "-";
    if (const auto found = estimates.find(step.name); found != estimates.end()) {
      if (found->second.seconds >= 0) time = duration_text(found->second.seconds);
      if (found->second.memory_bytes >= 0) memory = bytes_text(found->second.memory_bytes);
      seconds += std::max(0.0, found->second.seconds);
    }
    table.add_row({step.name, step.arch.name, learns_text(step), std::to_string(step.settings.epochs),
                   std::to_string(step.settings.batch_size), count_text(parameters(step.arch)), time, memory});
  }
  if (!estimates.empty()) {
    table.add_rule();
    table.add_row({"all", "", "", "", "", "", duration_text(seconds), ""});
  }
  return table.text();
}

std::string totals_table(const Plan& plan) {
  using Align = TextTable::Align;
  TextTable table({{"network"},
                   {"parameters", Align::right},
                   {"share", Align::right},
                   {"MACs", Align::right},
                   {"share", Align::right}});
  for (const auto& [name, arch] : networks(plan))
    table.add_row({name, count_text(parameters(*arch)),
                   format("%.1f %%", 100 * parameters(*arch) / parameters(plan.teacher)), count_text(macs(*arch)),
                   format("%.1f %%", 100 * macs(*arch) / macs(plan.teacher))});
  return table.text();
}

void print_text(const Recipe& recipe, const Plan& plan, const Estimates& estimates) {
  std::cout << format("%s: %s, %lld training images, %s\n", recipe.name.c_str(), recipe.data.dataset.c_str(),
                      static_cast<long long>(plan.data.training_images), recipe.runtime.precision.c_str())
            << machine_text() << "\n\n"
            << steps_table(plan, estimates);
  if (!estimates.empty())
    std::cout << "Times and memory are estimates from a short probe on this machine, for training without tests and "
                 "dataset.\n";
  for (const auto& [name, arch] : networks(plan))
    std::cout << "\n" << name << ": " << arch->name << "\n" << network_table(*arch);
  std::cout << "\n" << totals_table(plan);
}

nlohmann::ordered_json network_json(const Arch& arch) {
  nlohmann::ordered_json out;
  out["name"] = arch.name;
  out["parameters"] = total_cost(arch).parameters;
  out["macs"] = total_cost(arch).macs;
  for (const auto& cost : part_costs(arch))
    out["parts"].push_back({{"part", cost.part},
                            {"parameters", cost.parameters},
                            {"macs", cost.macs},
                            {"out_channels", cost.out_channels},
                            {"out_size", cost.out_size}});
  return out;
}

void print_json(const Recipe& recipe, const Plan& plan, const Estimates& estimates) {
  nlohmann::ordered_json out;
  out["recipe"] = recipe.name;
  out["dataset"] = recipe.data.dataset;
  out["training_images"] = plan.data.training_images;
  out["machine"] = machine_text();
  out["version"] = version_text();
  for (const auto& [name, arch] : networks(plan)) out["networks"][name] = network_json(*arch);
  for (const auto& step : plan.steps) {
    nlohmann::ordered_json item;
    item["step"] = step.name;
    item["purpose"] = step.purpose;
    item["control"] = step.control;
    item["network"] = step.arch.name;
    item["parameters"] = total_cost(step.arch).parameters;
    item["macs"] = total_cost(step.arch).macs;
    item["learns"] = learns_text(step);
    item["inputs"] = step.inputs();
    item["epochs"] = step.settings.epochs;
    item["batch_size"] = step.settings.batch_size;
    if (const auto found = estimates.find(step.name); found != estimates.end()) {
      if (found->second.seconds >= 0) item["seconds"] = found->second.seconds;
      if (found->second.memory_bytes >= 0) item["memory_bytes"] = found->second.memory_bytes;
    }
    out["steps"].push_back(item);
  }
  std::cout << out.dump(2) << "\n";
}

void write_slurm_script(const PlanArguments& arguments, const Recipe& recipe, const Plan& plan,
                        const Estimates& estimates) {
  namespace fs = std::filesystem;
  const auto absolute = [](const fs::path& path) { return fs::absolute(path).lexically_normal(); };
  SlurmSettings settings;
  settings.program = fs::read_symlink("/proc/self/exe");
  settings.recipe = absolute(arguments.recipe);
  settings.out = absolute(arguments.out.empty() ? fs::path("runs") / recipe.name : fs::path(arguments.out));
  if (const auto data = data_folder(arguments.data, recipe.data.dataset); !data.empty()) settings.data = absolute(data);
  if (!arguments.unlabelled.empty()) settings.unlabelled = absolute(arguments.unlabelled);
  settings.settings = arguments.settings;
  for (auto& setting : settings.settings)  // a path, which the recipe has whole
    if (setting.starts_with("network.model=")) setting = "network.model=" + recipe.network.model;
  settings.sbatch = arguments.sbatch;
  settings.threads = at::get_num_threads();
  const auto script = slurm_script(recipe, plan, estimates, settings);
  if (arguments.slurm == "-") {
    std::cout << script;
    return;
  }
  replace_file(arguments.slurm, script);
  std::cerr << "'sh " << arguments.slurm << "' submits the jobs.\n";
}

void plan_command(const PlanArguments& arguments) {
  auto recipe = read_recipe(arguments.recipe, arguments.settings);
  recipe.data.unlabelled = arguments.unlabelled;
  // Only pictures have to be there for a plan.
  const bool reads = recipe.data.dataset == "pictures";
  const auto plan = make_plan(recipe, data_shape(recipe.data, reads ? data_folder(arguments.data, recipe.data.dataset)
                                                                    : std::filesystem::path()));
  apply_runtime(recipe.runtime);
  Estimates estimates;
  if (arguments.probe) estimates = probe_plan(plan, recipe);
  if (!arguments.slurm.empty()) write_slurm_script(arguments, recipe, plan, estimates);
  if (arguments.slurm == "-") return;
  if (arguments.json)
    print_json(recipe, plan, estimates);
  else
    print_text(recipe, plan, estimates);
}

}  // namespace

void add_plan_command(CLI::App& program, Action& action) {
  auto* command =
      program.add_subcommand("plan", "What a recipe means: steps, networks, and an estimate of time and memory");
  auto arguments = std::make_shared<PlanArguments>();
  constexpr const char* kJobs = "Jobs of a cluster";
  command->add_option("RECIPE", arguments->recipe, "Recipe file (docs/recipes.md)")->required();
  command->add_option("--set", arguments->settings, "Another value for a key of the recipe")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  command->add_flag("--probe,!--no-probe", arguments->probe,
                    "Train a few batches to estimate time and memory (default), or do not");
  auto* json = command->add_flag("--json", arguments->json, "Print JSON");
  auto* slurm = command->add_option("--slurm", arguments->slurm,
                                    "Write a shell script that submits the steps as Slurm jobs; -: print it");
  slurm->type_name("FILE")->group(kJobs)->excludes(json);
  command->add_option("--out", arguments->out, "Run folder of those jobs; default: runs/NAME, by the recipe's name")
      ->type_name("RUN")
      ->group(kJobs)
      ->needs(slurm);
  command
      ->add_option("--data", arguments->data,
                   "Folder of the dataset, which is looked at if it is of pictures; default: MFI_DATA")
      ->type_name("DIR");
  add_unlabelled_option(*command, arguments->unlabelled);
  command->add_option("--sbatch", arguments->sbatch, "Another one for each of those sbatch")
      ->type_name("ARGUMENT")
      ->group(kJobs)
      ->allow_extra_args(false)
      ->needs(slurm);
  command->footer(
      "Needs no data but for pictures, whose classes and sizes it has to know.\n\nExamples:\n"
      "  mfi plan recipes/paper/cifar10-resnet50.toml --no-probe\n"
      "  mfi plan recipes/paper/cifar10-resnet50.toml --data ~/data --slurm jobs.sh \\\n"
      "    --sbatch=--partition=long" +
      exit_codes_section({ExitCode::not_found, ExitCode::recipe}) +
      environment_section({"MFI_DATA", "OMP_NUM_THREADS"}));
  command->callback([=, &action] { action = [=] { plan_command(*arguments); }; });
}

}  // namespace mfi
