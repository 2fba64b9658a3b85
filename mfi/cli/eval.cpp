// mfi eval
#include <algorithm>
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/model_data.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/report/text_table.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

struct EvalArguments {
  std::string model, data, dataset, precision = "fp32", against, confusion, differences, logits;
  bool classes = false;
};

std::string percent(int64_t part, int64_t whole) {
  return whole == 0 ? "-" : format("%.2f %%", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

int64_t count(const torch::Tensor& hits) { return hits.sum().item<int64_t>(); }

// [true class][predicted class], numbers of images.
torch::Tensor confusion_matrix(const torch::Tensor& labels, const torch::Tensor& best, int64_t classes) {
  return torch::bincount(labels * classes + best, {}, classes * classes).view({classes, classes});
}

std::string confusion_csv(const torch::Tensor& matrix, const std::vector<std::string>& names) {
  std::string out = "is \\ taken for";
  for (const auto& name : names) out += "," + csv_field(name);
  out += "\n";
  for (size_t row = 0; row < names.size(); ++row) {
    out += csv_field(names[row]);
    for (size_t column = 0; column < names.size(); ++column)
      out += "," + std::to_string(matrix[static_cast<int64_t>(row)][static_cast<int64_t>(column)].item<int64_t>());
    out += "\n";
  }
  return out;
}

// Each class's accuracy, and what its images are taken for most often.
std::string class_table(const torch::Tensor& matrix, const std::vector<std::string>& names) {
  using Align = TextTable::Align;
  TextTable table({{"class"}, {"images", Align::right}, {"right", Align::right}, {"most often taken for"}});
  for (size_t c = 0; c < names.size(); ++c) {
    const auto row = matrix[static_cast<int64_t>(c)].clone();
    const int64_t images = count(row), right = row[static_cast<int64_t>(c)].item<int64_t>();
    row[static_cast<int64_t>(c)] = 0;
    const int64_t most = row.argmax().item<int64_t>(), times = row[most].item<int64_t>();
    table.add_row(
        {names[c], std::to_string(images), percent(right, images),
         times == 0 ? "" : names[static_cast<size_t>(most)] + format(" (%lld)", static_cast<long long>(times))});
  }
  return table.text();
}

// The other model on the same test images, brought to its size in its way.
torch::Tensor classes_of(const Model& other, const Model& model, const EvalArguments& arguments, torch::Dtype dtype) {
  auto viewed = other;
  viewed.info.dataset = model.info.dataset;
  viewed.info.test = model.info.test;
  viewed.info.seed = model.info.seed;
  const auto data = open_model_data(viewed, arguments.dataset, arguments.data);
  return classifier_logits(*other.network, data.test, other.info.normalisation, dtype).argmax(1);
}

void compare(const EvalArguments& arguments, const Model& model, const DataSplits& data, const torch::Tensor& best,
             torch::Dtype dtype) {
  const auto other = load_model(arguments.against);
  const auto other_best = classes_of(other, model, arguments, dtype);
  const auto& labels = data.test.labels;
  const auto right = best.eq(labels), other_right = other_best.eq(labels), same = best.eq(other_best);
  const int64_t images = labels.size(0), only = count(right.logical_and(other_right.logical_not())),
                only_other = count(other_right.logical_and(right.logical_not()));
  std::cout << format("\nagainst %s (top-1 %s)\n", arguments.against.c_str(),
                      percent(count(other_right), images).c_str())
            << "same class:          " << percent(count(same), images) << "\n"
            << "right, both:         " << percent(count(right.logical_and(other_right)), images) << "\n"
            << "right, only this:    " << percent(only, images)
            << format(" (%lld images)\n", static_cast<long long>(only))
            << "right, only other:   " << percent(only_other, images)
            << format(" (%lld images)\n", static_cast<long long>(only_other)) << "wrong in two ways:   "
            << percent(count(same.logical_or(right).logical_or(other_right).logical_not()), images) << "\n";
  if (arguments.differences.empty()) return;
  std::string csv = "image,class,this,other\n";
  for (int64_t i = 0; i < images; ++i) {
    if (same[i].item<bool>()) continue;
    const auto name = [&](const torch::Tensor& classes) {
      return csv_field(data.test.class_names[static_cast<size_t>(classes[i].item<int64_t>())]);
    };
    csv += std::to_string(i) + "," + name(labels) + "," + name(best) + "," + name(other_best) + "\n";
  }
  replace_file(arguments.differences, csv);
  std::cout << "images on which they differ: " << arguments.differences << "\n";
}

void eval(const EvalArguments& arguments) {
  install_stop_handlers();
  for (const auto& [flag, file] : {std::pair{"--logits", arguments.logits},
                                   {"--confusion", arguments.confusion},
                                   {"--differences", arguments.differences}})
    require_no_model(flag, file);
  const auto model = load_model(arguments.model);
  const auto data = open_model_data(model, arguments.dataset, arguments.data);
  const auto dtype = arguments.precision == "bf16" ? torch::kBFloat16 : torch::kFloat32;
  const auto logits = classifier_logits(*model.network, data.test, model.info.normalisation, dtype);
  const auto& labels = data.test.labels;
  const auto best = logits.argmax(1);
  const double loss = at::cross_entropy_loss(logits.to(torch::kFloat64), labels).item<double>();
  std::cout << format("%s: %s on the %lld test images of %s (%s)\n", arguments.model.c_str(),
                      model.network->arch().name.c_str(), static_cast<long long>(labels.size(0)), data.name.c_str(),
                      arguments.precision.c_str())
            << format("top-1 %s, loss %.4f\n", percent(count(best.eq(labels)), labels.size(0)).c_str(), loss);
  const int64_t classes = model.network->arch().classes;
  if (classes > 5) {
    const auto five = std::get<1>(logits.topk(5, 1));
    std::cout << "top-5 " << percent(count(five.eq(labels.unsqueeze(1))), labels.size(0)) << "\n";
  }
  std::cout << format("calibration error %.2f points (confidence against accuracy)\n",
                      calibration_error_percent(logits, labels));
  const auto matrix = confusion_matrix(labels, best, classes);
  if (arguments.classes) std::cout << "\n" << class_table(matrix, data.test.class_names);
  if (!arguments.confusion.empty()) {
    replace_file(arguments.confusion, confusion_csv(matrix, data.test.class_names));
    std::cout << "confusion matrix: " << arguments.confusion << "\n";
  }
  if (!arguments.logits.empty()) {
    save_tensors(arguments.logits, {{"logits", logits.to(torch::kFloat32)}, {"labels", labels}}, {});
    std::cout << "logits: " << arguments.logits << "\n";
  }
  if (!arguments.against.empty()) compare(arguments, model, data, best, dtype);
}

}  // namespace

void add_eval_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("eval", "Accuracy of a model on its dataset's test images");
  auto arguments = std::make_shared<EvalArguments>();
  constexpr const char* kMore = "More than the accuracy";
  command->add_option("MODEL", arguments->model, "Model file, as runs/NAME/hybrid/model.safetensors")->required();
  command->add_option("--data", arguments->data, "Folder of the dataset; default: the environment's MFI_DATA")
      ->type_name("DIR");
  command->add_option("--dataset", arguments->dataset, "Another dataset than the model was trained on")
      ->type_name("NAME")
      ->check(CLI::IsMember(dataset_names()));
  command
      ->add_option("--precision", arguments->precision,
                   "Default: fp32; bf16 may move the accuracy by hundredths of a point")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command->add_flag("--classes", arguments->classes, "Also each class's accuracy, and what it is taken for")
      ->group(kMore);
  command->add_option("--confusion", arguments->confusion, "Write the confusion matrix to this CSV file")
      ->type_name("FILE")
      ->group(kMore);
  command->add_option("--logits", arguments->logits, "Write logits and labels of all images to this safetensors file")
      ->type_name("FILE")
      ->group(kMore);
  auto* against = command->add_option("--against", arguments->against, "Another model: where do the two disagree?")
                      ->type_name("MODEL")
                      ->group(kMore);
  command->add_option("--differences", arguments->differences, "Write the images on which they do to this CSV file")
      ->type_name("FILE")
      ->group(kMore)
      ->needs(against);
  command->footer("Example:\n  mfi eval runs/cifar10-resnet34-w16/hybrid/model.safetensors --data ~/data" +
                  exit_codes_section({ExitCode::usage, ExitCode::bad_data, ExitCode::not_found, ExitCode::cannot_write,
                                      ExitCode::checkpoint, ExitCode::interrupted, ExitCode::terminated}) +
                  environment_section({"MFI_DATA"}));
  command->callback([=, &action] { action = [=] { eval(*arguments); }; });
}

}  // namespace mfi
