// mfi import
#include <algorithm>
#include <cmath>
#include <fstream>
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/core/utf8.h"
#include "mfi/exchange/import.h"
#include "mfi/nn/cost.h"
#include "mfi/report/network_table.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

struct ImportArguments {
  std::string file, out, key, arch, stem, shortcut, dataset, normalisation, classes, resize;
  int64_t image_size = 0;
  double crop = 0;
  std::vector<std::string> ignore;
  std::vector<float> mean, stddev;
};

// Means and standard deviations that training scripts are written with.
const std::vector<std::pair<std::string, Normalisation>>& known_normalisations() {
  static const std::vector<std::pair<std::string, Normalisation>> known{
      {"imagenet", {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}},
      {"cifar-10", {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}}},
      {"cifar-100", {{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}}},
      {"half", {{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}}},
      {"none", {{0, 0, 0}, {1, 1, 1}}}};
  return known;
}

const Normalisation* find_normalisation(const std::string& name) {
  for (const auto& [known, normalisation] : known_normalisations())
    if (known == name) return &normalisation;
  return nullptr;
}

// What the flags say, else what networks of this kind are usually trained on.
std::string dataset_of(const ImportArguments& arguments, const Arch& arch) {
  if (!arguments.dataset.empty()) return arguments.dataset;
  if (arch.stem == StemKind::cifar && arch.classes == 10) return "cifar-10";
  if (arch.stem == StemKind::cifar && arch.classes == 100) return "cifar-100";
  return arch.classes == 1000 ? "imagenet" : "";
}

Normalisation normalisation_of(const ImportArguments& arguments, const Arch& arch, const std::string& dataset,
                               std::string& origin) {
  if (!arguments.mean.empty() || !arguments.stddev.empty()) {
    if (arguments.mean.size() != 3 || arguments.stddev.size() != 3)
      throw UsageError("--mean and --stddev go together, three numbers each, as --mean 0.485,0.456,0.406");
    const auto is_number = [](float value) { return std::isfinite(value); };
    if (!std::all_of(arguments.mean.begin(), arguments.mean.end(), is_number))
      throw UsageError("--mean: expected finite numbers");
    if (!std::all_of(arguments.stddev.begin(), arguments.stddev.end(), [&](float s) { return is_number(s) && s > 0; }))
      throw UsageError("--stddev: expected finite numbers above 0");
    Normalisation given;
    std::copy_n(arguments.mean.begin(), 3, given.mean.begin());
    std::copy_n(arguments.stddev.begin(), 3, given.stddev.begin());
    origin = "as given";
    return given;
  }
  std::string name = arguments.normalisation;
  origin = "as given";
  if (name.empty()) {
    name = arch.stem == StemKind::imagenet ? "imagenet" : find_normalisation(dataset) ? dataset : "imagenet";
    origin = "taken to be " + name + "'s; --normalisation, --mean and --stddev say otherwise";
  }
  return *find_normalisation(name);
}

std::vector<std::string> class_names_of(const ImportArguments& arguments, int64_t classes) {
  std::vector<std::string> names;
  if (arguments.classes.empty()) {
    for (int64_t i = 0; i < classes; ++i) names.push_back(std::to_string(i));
    return names;
  }
  std::ifstream file(arguments.classes);
  if (!file)
    throw NotFoundError(arguments.classes + ": cannot be read; expected a text file with a class's name a line");
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    if (number == 1 && line.starts_with(kByteOrderMark)) line.erase(0, kByteOrderMark.size());
    if (line.ends_with('\r')) line.pop_back();
    if (!is_utf8(line))
      throw DataError(format("%s: line %d is not UTF-8; save the file as UTF-8", arguments.classes.c_str(), number));
    if (!line.empty()) names.push_back(line);
  }
  if (static_cast<int64_t>(names.size()) != classes)
    throw DataError(format("%s: has %zu names, the network has %lld classes", arguments.classes.c_str(), names.size(),
                           static_cast<long long>(classes)));
  return names;
}

std::string spoken(const std::string& key) { return key.empty() ? "the outermost dict" : "the key '" + key + "'"; }

void print_report(const ImportArguments& arguments, const Imported& imported, const ModelInfo& info,
                  const std::string& normalisation_origin) {
  const auto& report = imported.report;
  const auto& arch = imported.network->arch();
  std::vector<std::string> others;
  for (const auto& key : report.other_keys) others.push_back(spoken(key));
  const auto& n = info.normalisation;
  std::cout << arguments.file << ": tensors at " << spoken(report.key);
  if (!others.empty()) std::cout << "; there is also " << join(others, " and ") << " (--key)";
  std::cout << "\n";
  if (!report.notes.empty()) std::cout << "beside them:    " << join(report.notes, ", ") << "\n";
  std::cout << "network:        " << arch.name << ", " << arch.classes << " classes, "
            << count_text(static_cast<double>(total_cost(arch).parameters)) << " parameters\n"
            << "matched:        " << report.matched << " tensors, the first " << report.first_key << "\n";
  if (!report.biases.empty())
    std::cout << "moved:          " << report.biases.size()
              << " biases of convolutions, into the means of batch norms\n";
  std::cout << "left over:      ";
  if (report.bookkeeping > 0) std::cout << report.bookkeeping << " counters of batches, which nothing needs";
  if (!report.ignored.empty())
    std::cout << (report.bookkeeping > 0 ? "; " : "") << "as you asked: " << join(report.ignored, ", ");
  std::cout << (report.bookkeeping == 0 && report.ignored.empty() ? "none\n" : "\n") << "missing:        none\n"
            << format("normalisation:  mean %.4f %.4f %.4f, standard deviation %.4f %.4f %.4f, ", n.mean[0], n.mean[1],
                      n.mean[2], n.stddev[0], n.stddev[1], n.stddev[2])
            << normalisation_origin << "\n"
            << format(
                   "pictures:       %lld pixels along a side, %s, the middle %g of the shorter side (--image-size, "
                   "--resize, --crop)\n",
                   static_cast<long long>(arch.image_size), info.resize.c_str(), info.crop)
            << "dataset:        " << (info.dataset.empty() ? "unknown (--dataset)" : info.dataset) << "\n\n"
            << network_table(arch) << "\nsaved " << arguments.out << "\n";
}

void import(const ImportArguments& arguments) {
  if (std::error_code different; fs::equivalent(arguments.out, arguments.file, different))
    throw UsageError("--out " + arguments.out + " is the file to import; give another name");
  ImportSettings settings;
  settings.key = arguments.key;
  settings.ignore = arguments.ignore;
  settings.recognise.arch = arguments.arch;
  settings.recognise.image_size = arguments.image_size;
  if (!arguments.stem.empty())
    settings.recognise.stem = arguments.stem == "imagenet" ? StemKind::imagenet : StemKind::cifar;
  if (!arguments.shortcut.empty())
    settings.recognise.shortcut = arguments.shortcut == "projection" ? ShortcutKind::projection
                                  : arguments.shortcut == "padded"   ? ShortcutKind::padded
                                                                     : ShortcutKind::padded_end;
  const auto imported = import_network(arguments.file, settings);
  const auto& arch = imported.network->arch();
  ModelInfo info;
  std::string origin;
  info.dataset = dataset_of(arguments, arch);
  info.normalisation = normalisation_of(arguments, arch, info.dataset, origin);
  info.class_names = class_names_of(arguments, arch.classes);
  if (arch.stem == StemKind::imagenet) {  // as torchvision's and timm's are judged
    info.resize = "bilinear";
    info.crop = 0.875;
  }
  if (!arguments.resize.empty()) info.resize = arguments.resize;
  if (arguments.crop > 0) info.crop = arguments.crop;
  const auto name = fs::path(arguments.file).filename().string();
  info.step = "imported from " + (is_utf8(name) ? name : "a file whose name is not UTF-8");
  save_model(arguments.out, *imported.network, info);
  print_report(arguments, imported, info, origin);
}

}  // namespace

void add_import_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("import", "A model of mfi from a network that another program trained");
  auto a = std::make_shared<ImportArguments>();
  constexpr const char* kPictures = "The pictures that it was trained on";
  std::vector<std::string> normalisations;
  for (const auto& [name, normalisation] : known_normalisations()) normalisations.push_back(name);
  command->add_option("FILE", a->file, "What torch.save wrote (.pt, .pth, .th, .tar, .bin), or .safetensors")
      ->required();
  command->add_option("--out", a->out, "Model file to write, as teacher.safetensors")->required()->type_name("MODEL");
  command
      ->add_option("--key", a->key,
                   "Which dict of tensors in the file, as state_dict or ema; default: chosen, and said")
      ->type_name("KEY");
  command->add_option("--arch", a->arch, "The network, where its tensors could be another's; default: by their shapes")
      ->type_name("NAME")
      ->check(CLI::IsMember(resnet_names()));
  command->add_option("--stem", a->stem, "cifar: 3x3; imagenet: 7x7, pooling; default: by the kernel")
      ->check(CLI::IsMember({"cifar", "imagenet"}));
  command
      ->add_option("--shortcut", a->shortcut,
                   "projection (option B), padded (option A, zero channels on both sides) or padded-end (behind); "
                   "default: projection where there is one, else padded")
      ->check(CLI::IsMember({"projection", "padded", "padded-end"}));
  command->add_option("--image-size", a->image_size, "Pixels along a side; default 32, or 224 with an ImageNet stem")
      ->group(kPictures)
      ->check(CLI::Range(1, 4096));
  command->add_option("--ignore", a->ignore, "Leave out tensors whose names begin like this")
      ->type_name("PREFIX")
      ->allow_extra_args(false);
  command->add_option("--dataset", a->dataset, "What it was trained on, as 'mfi eval' and recipes call it")
      ->type_name("NAME")
      ->group(kPictures)
      ->check(CLI::IsMember({"cifar-10", "cifar-100", "imagenet", "pictures", "sample"}));
  auto* normalisation =
      command->add_option("--normalisation", a->normalisation, "How its images were normalised: a set of usual numbers")
          ->type_name("NAME")
          ->group(kPictures)
          ->check(CLI::IsMember(normalisations));
  command->add_option("--mean", a->mean, "The same in numbers, for pixels from 0 to 1")
      ->type_name("R,G,B")
      ->group(kPictures)
      ->allow_extra_args(false)
      ->delimiter(',')
      ->excludes(normalisation);
  command->add_option("--stddev", a->stddev, "Standard deviations that go with --mean")
      ->type_name("R,G,B")
      ->group(kPictures)
      ->allow_extra_args(false)
      ->delimiter(',');
  command
      ->add_option("--resize", a->resize,
                   "How pictures are resized; default bilinear with an ImageNet stem, else bicubic")
      ->group(kPictures)
      ->check(CLI::IsMember({"bicubic", "bilinear"}));
  command
      ->add_option("--crop", a->crop,
                   "Share of the shorter side that is kept; default 0.875 with an ImageNet stem (224 of 256), else 1")
      ->type_name("SHARE")
      ->group(kPictures)
      ->check(CLI::Range(0.01, 1.0));
  command->add_option("--classes", a->classes, "Text file with the classes' names, one a line; default: numbers")
      ->type_name("FILE")
      ->group(kPictures);
  command->footer(
      "Nothing in the file is run: it may come from anywhere. What the shapes cannot tell is said in the report, with "
      "the "
      "flag that changes it.\n\n"
      "Example:\n  mfi import resnet56-cifar10.pth --out teacher.safetensors" +
      exit_codes_section({ExitCode::bad_data, ExitCode::not_found, ExitCode::cannot_write, ExitCode::checkpoint}));
  command->callback([=, &action] { action = [=] { import(*a); }; });
}

}  // namespace mfi
