// mfi eval
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

struct EvalArguments {
  std::string model, data, dataset, precision = "fp32";
};

void eval(const EvalArguments& arguments) {
  const auto model = load_model(arguments.model);
  DataSettings settings;
  settings.dataset = arguments.dataset.empty() ? model.info.dataset : arguments.dataset;
  const auto data = open_data(settings, data_folder(arguments.data, settings.dataset));
  const auto dtype = arguments.precision == "bf16" ? torch::kBFloat16 : torch::kFloat32;
  const auto accuracy = evaluate_classifier(*model.network, data.test, model.info.normalisation, dtype);
  std::cout << format("%s: %s on the %lld test images of %s (%s)\n", arguments.model.c_str(),
                      model.network->arch().name.c_str(), static_cast<long long>(accuracy.images), data.name.c_str(),
                      arguments.precision.c_str())
            << format("top-1 %.2f %%, loss %.4f\n", accuracy.top1_percent, accuracy.loss);
}

}  // namespace

void add_eval_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("eval", "Accuracy of a model on its dataset's test images");
  auto arguments = std::make_shared<EvalArguments>();
  command->add_option("MODEL", arguments->model, "Model file, as runs/NAME/hybrid/model.safetensors")->required();
  command->add_option("--data", arguments->data, "Folder of the dataset; default: the environment's MFI_DATA");
  command->add_option("--dataset", arguments->dataset, "Another dataset than the model was trained on")
      ->check(CLI::IsMember({"cifar-10", "cifar-100", "sample"}));
  command->add_option("--precision", arguments->precision, "fp32 (default) or bf16, which may move it by hundredths")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command->footer("Example:\n  mfi eval runs/cifar10-resnet34-w16/hybrid/model.safetensors --data ~/data");
  command->callback([=, &action] { action = [=] { eval(*arguments); }; });
}

}  // namespace mfi
