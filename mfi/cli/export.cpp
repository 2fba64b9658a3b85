// mfi export
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/model_data.h"
#include "mfi/cli/shell_word.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/core/utf8.h"
#include "mfi/data/loader.h"
#include "mfi/exchange/onnx_export.h"
#include "mfi/exchange/pytorch_export.h"
#include "mfi/formats/safetensors.h"
#include "mfi/nn/cost.h"
#include "mfi/nn/fold.h"
#include "mfi/pipeline/machine.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

struct ExportArguments {
  std::string model, format, out, precision = "fp32", data, dataset;
  int64_t calibration = 0;  // 0: 512
  bool normalise = false, softmax = false;
};

// Ranges of every value on training images, the same number of each class.
ValueRanges calibrate(const Graph& graph, const Model& model, const ExportArguments& arguments) {
  const auto data = open_model_data(model, arguments.dataset, arguments.data, ModelDataFor::calibration,
                                    arguments.calibration > 0 ? arguments.calibration : 512);
  auto loader = evaluation_loader(data.train, model.info.normalisation, torch::kFloat32, nullptr, /*batch_size=*/64);
  loader.start_epoch(0);
  ValueRanges ranges;
  while (const auto batch = loader.next()) {
    throw_if_stopped();
    widen_ranges(graph, batch->images, ranges);
  }
  return ranges;
}

// ONNX Runtime computes fp16 in more bits on a CPU, so that only a GPU would show what does not fit.
void require_half(const Graph& graph, const ExportArguments& arguments) {
  constexpr float kLargestHalf = 65504;
  float largest = 0;
  for (const auto& op : graph.ops)
    for (const auto* values : {&op.weight, &op.bias})
      if (values->defined()) largest = std::max(largest, values->abs().max().item<float>());
  const auto& arch = graph.arch;
  ValueRanges ranges;
  torch::manual_seed(0);
  widen_ranges(graph, torch::randn({4, arch.in_channels, arch.image_size, arch.image_size}), ranges);
  for (const auto& [name, range] : ranges) largest = std::max({largest, -range.low, range.high});
  if (!(largest < kLargestHalf))
    throw CheckpointError(
        format("%s: has weights or values of %g, beyond what 16 bits can hold (65504); export it in fp32",
               arguments.model.c_str(), static_cast<double>(largest)));
}

void export_onnx(const Model& model, const ExportArguments& arguments) {
  const auto graph = graph_of(*model.network);
  check_graph(graph, *model.network);
  OnnxSettings settings;
  settings.precision = arguments.precision == "int8"   ? OnnxPrecision::int8
                       : arguments.precision == "fp16" ? OnnxPrecision::fp16
                                                       : OnnxPrecision::fp32;
  settings.normalise = arguments.normalise;
  settings.softmax = arguments.softmax;
  if (settings.precision == OnnxPrecision::fp16) require_half(graph, arguments);
  if (settings.precision == OnnxPrecision::int8) settings.ranges = calibrate(graph, model, arguments);
  auto onnx = onnx_model(graph, model.info, settings);
  onnx.producer_version = version_text();
  replace_file(arguments.out, checked_onnx(onnx));
}

// `format` is what other programs write into their weights too; by the other one an export knows its own.
constexpr const char *kWeightsFormat = "pt", *kExported = "mfi.export";

// Whether a file holds the weights of a Python file that an export has written.
bool is_weights_file(const fs::path& file) {
  try {
    return read_safetensors_metadata(file).contains(kExported);
  } catch (const Error&) {
    return false;
  }
}

// Beside a Python file: its weights.
fs::path weights_file(const ExportArguments& arguments) {
  const auto weights = fs::path(arguments.out).replace_extension(".safetensors");
  if (std::error_code none; fs::exists(weights, none) && !is_weights_file(weights))
    throw UsageError("--out " + arguments.out + ": its weights would replace " + weights.string() + ", which is " +
                     (is_trainable_model(weights) ? "a model of mfi" : "not known to be weights of such a file") +
                     "; give another name, or remove it");
  return weights;
}

void export_pytorch(const Model& model, const ExportArguments& arguments) {
  const auto folded = fold(*model.network);
  const fs::path source = arguments.out, weights = weights_file(arguments);
  save_tensors(weights, pytorch_tensors(*folded), {{"format", kWeightsFormat}, {kExported, "pytorch"}});
  replace_file(source, pytorch_source(folded->arch(), model.info, weights.filename().string()));
}

// By the file's ending where the flag is not given.
std::string format_of(const ExportArguments& arguments) {
  const auto ending = fs::path(arguments.out).extension().string();
  const std::string by_ending = ending == ".onnx"          ? "onnx"
                                : ending == ".py"          ? "pytorch"
                                : ending == ".safetensors" ? "safetensors"
                                                           : "";
  if (arguments.format.empty() && by_ending.empty())
    throw UsageError("--out " + arguments.out +
                     ": by its ending none of onnx, pytorch (.py) and safetensors; give --format");
  if (arguments.format == "pytorch" && ending != ".py")
    throw UsageError("--out " + arguments.out +
                     ": --format pytorch writes a Python file; expected a name that ends in .py");
  return arguments.format.empty() ? by_ending : arguments.format;
}

// The command that compares what was written with the model, as it can be typed.
std::string verify_command(const ExportArguments& arguments, const ModelInfo& info) {
  auto text = "mfi verify " + shell_quoted(arguments.out) + " --against " + shell_quoted(arguments.model);
  const auto& known = dataset_names();
  const auto dataset = arguments.dataset.empty() ? info.dataset : arguments.dataset;
  const bool is_known = std::find(known.begin(), known.end(), dataset) != known.end();
  if (!arguments.dataset.empty() || !is_known) text += " --dataset " + (is_known ? dataset : "NAME");
  const char* folder = std::getenv("MFI_DATA");
  if (!arguments.data.empty())
    text += " --data " + shell_quoted(arguments.data);
  else if (dataset != "sample" && !(folder && *folder))
    text += " --data DIR";
  return text + (arguments.precision == "fp32" ? "" : " --tolerance 9");
}

void run_export(const ExportArguments& arguments) {
  const auto format = format_of(arguments);
  if (format == "pytorch" && !is_utf8(arguments.out))
    throw UsageError("--out " + shortened(arguments.out) +
                     ": is not UTF-8, as a Python file's name is; give another one");
  if (std::error_code different; fs::equivalent(arguments.out, arguments.model, different))
    throw UsageError("--out " + arguments.out + " is the model itself; give another name");
  if (is_trainable_model(arguments.out))
    throw UsageError("--out " + arguments.out +
                     " is a model of mfi, which an export does not replace; give another name");
  if (arguments.precision != "int8" && (!arguments.data.empty() || !arguments.dataset.empty() || arguments.calibration))
    throw UsageError("--data, --dataset and --calibration are for --precision int8");
  if (format != "onnx" && (arguments.precision != "fp32" || arguments.normalise || arguments.softmax))
    throw UsageError("--precision, --normalise and --softmax are for --format onnx");
  install_stop_handlers();
  const auto model = load_model(arguments.model);
  if (format == "onnx") export_onnx(model, arguments);
  if (format == "pytorch") export_pytorch(model, arguments);
  if (format == "safetensors") save_model(arguments.out, *fold(*model.network), model.info);

  auto arch = model.network->arch();
  arch.folded = true;
  const bool is_file = !is_written_into(arguments.out);
  auto& said = is_file ? std::cout : std::cerr;  // what was written into may be standard output itself
  said << arguments.out << ": " << arch.name << ", " << count_text(static_cast<double>(total_cost(arch).parameters))
       << " parameters";
  if (!is_file) {
    said << "\n";
    return;
  }
  said << ", " << bytes_text(static_cast<double>(fs::file_size(arguments.out)));
  if (format == "pytorch")
    said << ", and its weights in " << fs::path(arguments.out).replace_extension(".safetensors").string();
  said << "\nWhat runs it and compares:\n  " << verify_command(arguments, model.info) << "\n";
}

}  // namespace

void add_export_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("export", "A model as a file that other programs run");
  auto a = std::make_shared<ExportArguments>();
  constexpr const char *kOnnx = "ONNX", *kInt8 = "ONNX in 8 bits";
  command->add_option("MODEL", a->model, "Model file, as runs/NAME/hybrid/model.safetensors")->required();
  command->add_option("--out", a->out, "File to write")->required()->type_name("FILE");
  command->add_option("--format", a->format, "pytorch: a .py and its weights; default: by --out's ending")
      ->type_name("FORMAT")
      ->check(CLI::IsMember({"onnx", "pytorch", "safetensors"}));
  command->add_option("--precision", a->precision, "Default: fp32; int8 is calibrated on training images")
      ->group(kOnnx)
      ->check(CLI::IsMember({"fp32", "fp16", "int8"}));
  command->add_flag("--normalise", a->normalise, "Take pixels from 0 to 1, and normalise them inside")->group(kOnnx);
  command->add_flag("--softmax", a->softmax, "Give probabilities instead of logits")->group(kOnnx);
  command->add_option("--calibration", a->calibration, "Training images to take ranges from; default: 512")
      ->group(kInt8)
      ->check(CLI::Range(1, 1000000));
  command->add_option("--data", a->data, "Folder of the dataset; default: the environment's MFI_DATA")
      ->type_name("DIR")
      ->group(kInt8);
  command->add_option("--dataset", a->dataset, "Another dataset than the model was trained on")
      ->type_name("NAME")
      ->group(kInt8)
      ->check(CLI::IsMember(dataset_names()));
  command->footer(
      "Batch norms and time embeddings are folded: what comes out is one plain network.\n\n"
      "Example:\n  mfi export runs/cifar10-resnet34-w16/hybrid/model.safetensors \\\n"
      "    --out hybrid.onnx" +
      exit_codes_section({ExitCode::usage, ExitCode::bad_data, ExitCode::not_found, ExitCode::cannot_write,
                          ExitCode::checkpoint, ExitCode::interrupted, ExitCode::terminated}) +
      environment_section({"MFI_DATA"}));
  command->callback([=, &action] { action = [=] { run_export(*a); }; });
}

}  // namespace mfi
