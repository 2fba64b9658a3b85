// mfi inspect
#include <ATen/Parallel.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/inspect_pictures.h"
#include "mfi/cli/model_data.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/dataset.h"
#include "mfi/formats/safetensors.h"
#include "mfi/nn/latency.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/report/network_table.h"
#include "mfi/report/text_table.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

std::string normalisation_text(const Normalisation& n) {
  return format("mean %.4f %.4f %.4f, standard deviation %.4f %.4f %.4f", n.mean[0], n.mean[1], n.mean[2], n.stddev[0],
                n.stddev[1], n.stddev[2]);
}

void print_beside(const Model& model, const fs::path& file, const Model& other, const fs::path& teacher) {
  const auto &arch = model.network->arch(), &other_arch = other.network->arch();
  if (arch.stages.size() != other_arch.stages.size())
    throw CheckpointError(format("%s: has %zu stages, %s has %zu; there is nothing to compare part by part",
                                 file.c_str(), arch.stages.size(), teacher.c_str(), other_arch.stages.size()));
  constexpr int64_t kBatch = 1;
  const auto times = measure_by_turns(model.network, other.network, kBatch);
  std::cout << "\nbeside " << teacher.string() << " (" << other_arch.name << "); ms: one image, float32, folded, "
            << at::get_num_threads() << " threads; 1 MAC is 2 FLOP\n"
            << comparison_table(arch, times[0].milliseconds, other_arch, times[1].milliseconds);
}

// The network beside what it was made from: the one given, else the teacher of the run that the file lies in.
void print_comparison(const Model& model, const fs::path& file, const std::string& against) {
  if (!against.empty()) return print_beside(model, file, load_model(against), against);
  const auto teacher = fs::absolute(file).parent_path().parent_path() / "teacher/model.safetensors";
  std::error_code none;
  if (!fs::exists(teacher, none) || fs::equivalent(teacher, file, none)) return;
  try {
    print_beside(model, file, load_model(teacher), teacher);
  } catch (const Error& error) {  // nobody asked for it
    std::cout << "\nnot compared with " << teacher.string() << ": " << error.what() << "\n";
  }
}

// What was learned of the steps through its flow stages.
void print_step_lengths(const Network& network) {
  for (size_t stage = 0; stage < network.stage_count(); ++stage) {
    const auto* flow = std::get_if<FlowArch>(&network.arch().stages[stage].body);
    if (!flow || !flow->learns_steps()) continue;
    std::vector<std::string> lengths;
    for (const auto& step : network.flow_stage(stage).time_steps(flow->steps))
      lengths.push_back(format("%.3f", step.length));
    std::cout << "stage " << stage + 1 << " takes steps of " << join(lengths, ", ") << " of its path\n";
  }
}

void inspect_model(const fs::path& file, const std::string& against) {
  const auto model = load_model(file);
  const auto& arch = model.network->arch();
  std::cout << "model " << file.string() << "\n"
            << "network:        " << arch.name << (arch.folded ? ", folded" : "") << "\n"
            << "step:           " << model.info.step << "\n"
            << "dataset:        " << model.info.dataset << "\n"
            << "normalisation:  " << normalisation_text(model.info.normalisation) << "\n"
            << "classes:        " << arch.classes << ": " << join(model.info.class_names, ", ") << "\n\n"
            << network_table(arch);
  print_step_lengths(*model.network);
  print_comparison(model, file, against);
}

void inspect_recipe(const fs::path& file) {
  const auto recipe = read_recipe(file);
  std::cout << "recipe " << file.string() << "\n";
  using Align = TextTable::Align;
  TextTable table({{"key"}, {"value", Align::left}, {"default", Align::left}});
  int changed = 0;
  for (const auto& entry : recipe_entries()) {
    const bool given = !entry.is_given || entry.is_given(recipe);
    const auto value = given ? recipe_value_text(entry.get(recipe)) : entry.key.default_text;
    const bool differs = value != entry.key.default_text;
    changed += differs;
    // Only what differs shows its default, so that the eye finds it.
    table.add_row({entry.key.path, value, differs ? entry.key.default_text : ""});
  }
  std::cout << table.text() << changed << " of " << recipe_entries().size()
            << " keys differ from the default, which then stands beside them\n";
}

void print_images(const char* what, const Dataset& data) {
  if (data.size() == 0) return;
  const auto counts = torch::bincount(data.labels, {}, static_cast<int64_t>(data.class_names.size()));
  const auto low = counts.min().item<int64_t>(), high = counts.max().item<int64_t>();
  std::cout << format("%s %lld images of %lld x %lld, ", what, static_cast<long long>(data.size()),
                      static_cast<long long>(data.width()), static_cast<long long>(data.height()));
  if (low == high) {
    std::cout << low << " a class\n";
    return;
  }
  std::vector<std::string> parts;
  for (size_t i = 0; i < data.class_names.size(); ++i)
    parts.push_back(data.class_names[i] + " " + std::to_string(counts[static_cast<int64_t>(i)].item<int64_t>()));
  std::cout << "a class: " << join(parts, ", ") << "\n";
}

void print_data(const DataSplits& data) {
  std::cout << "dataset " << data.name << " in " << data.source << "\n";
  print_images("training:      ", data.train);
  print_images("test:          ", data.test);
  std::cout << "normalisation:  " << normalisation_text(data.normalisation) << "\n"
            << "classes:        " << data.train.class_names.size() << ": " << join(data.train.class_names, ", ") << "\n"
            << "every record was read and is sound\n";
}

// Whether a file is CIFAR's archive by its name; one of another name may be one of pictures.
bool is_cifar_archive(const fs::path& path) { return path.filename().string().starts_with("cifar-"); }

// Before anything else that is no pictures is shown.
void require_pictures_for(const std::string& sheet) {
  if (!sheet.empty())
    throw UsageError("--sheet " + sheet + ": only folders and archives of pictures have such a sheet");
}

void inspect_data(const fs::path& path, const std::string& sheet) {
  require_no_model("--sheet", sheet);
  if (fs::is_regular_file(path) && !is_cifar_archive(path)) return inspect_pictures(path, sheet);
  std::vector<std::string> names{"cifar-10", "cifar-100"};
  if (fs::exists(path / "train.png")) names = {"sample"};
  // An archive holds one dataset; read as the other it would only be called damaged.
  if (fs::is_regular_file(path)) names = {path.filename().string().starts_with("cifar-100") ? "cifar-100" : "cifar-10"};
  bool found = false;
  for (const auto& name : names) {
    DataSettings settings;
    settings.dataset = name;
    DataSplits data;
    try {
      data = open_data(settings, path);
    } catch (const NotFoundError&) {
      continue;  // a folder may hold one, the other or both
    } catch (const DataError&) {
      // An archive of somebody's own, of CIFAR's pictures, may be called like that too.
      if (!fs::is_regular_file(path) || path.filename().string().find("binary") != std::string::npos) throw;
      continue;
    }
    require_pictures_for(sheet);
    if (found) std::cout << "\n";
    print_data(data);
    found = true;
  }
  if (!found) inspect_pictures(path, sheet);
}

// Whatever it is called.
bool is_model(const fs::path& file) {
  std::error_code none;
  if (!fs::is_regular_file(file, none)) return false;
  try {
    return read_safetensors_metadata(file).contains("mfi.arch");
  } catch (const CheckpointError&) {
    return false;
  }
}

void inspect(const fs::path& path, const std::string& sheet, const std::string& against) {
  std::error_code none;
  const bool is_sample = path == "sample" && !fs::exists(path, none);
  const bool is_recipe = path.extension() == ".toml";
  const bool has_model = !is_sample && (path.extension() == ".safetensors" || is_model(path));
  if (is_sample || is_recipe || has_model) require_pictures_for(sheet);
  if (!against.empty() && !has_model)
    throw UsageError("--against " + against + ": only a model is held against another");
  if (is_sample) {
    DataSettings settings;
    settings.dataset = "sample";
    return print_data(open_data(settings, {}));
  }
  if (!fs::exists(path, none))
    throw NotFoundError(path.string() + ": " +
                        (none ? "cannot be looked at: " + none.message() : "there is no such file or folder"));
  if (is_recipe) return inspect_recipe(path);
  if (has_model) return inspect_model(path, against);
  if (fs::exists(path / "results.json") || fs::exists(path / "recipe.toml"))
    throw UsageError(path.string() + " is a run folder: see 'mfi report " + path.string() +
                     "', or inspect a model in it");
  inspect_data(path, sheet);
}

}  // namespace

void add_inspect_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("inspect", "What a model, a dataset or a recipe holds");
  auto path = std::make_shared<std::string>();
  auto sheet = std::make_shared<std::string>();
  auto against = std::make_shared<std::string>();
  command
      ->add_option("PATH", *path,
                   "A model (.safetensors), a recipe (.toml), a dataset's folder or archive, or 'sample'")
      ->required();
  command
      ->add_option("--against", *against,
                   "Of a model: another to hold it against; default: the teacher of the run that it lies in")
      ->type_name("MODEL");
  command->add_option("--sheet", *sheet, "Of pictures: write some of each class to this PNG file")->type_name("FILE");
  command->footer(
      "A dataset is read whole and every record checked. A recipe shows every key with its value.\n\n"
      "Example:\n  mfi inspect runs/cifar10-resnet34-w16/hybrid/model.safetensors" +
      exit_codes_section({ExitCode::usage, ExitCode::bad_data, ExitCode::not_found, ExitCode::cannot_write,
                          ExitCode::recipe, ExitCode::checkpoint, ExitCode::interrupted, ExitCode::terminated}));
  command->callback([=, &action] { action = [=] { inspect(*path, *sheet, *against); }; });
}

}  // namespace mfi
