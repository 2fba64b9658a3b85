#include "mfi/exchange/import.h"

#include <gtest/gtest.h>

#include <fstream>

#include "mfi/core/error.h"
#include "mfi/core/test_folder.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/tensor_types.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(MFI_SOURCE_DIR) / "mfi/exchange/testdata";

torch::Tensor recorded(const std::string& name) {
  static const auto file = read_safetensors(kFolder / "expected.safetensors");
  const auto* tensor = file.find(name);
  EXPECT_TRUE(tensor) << name;
  return torch::from_blob(const_cast<std::byte*>(tensor->data), tensor->shape, torch_type(tensor->type)).clone();
}

std::string refusal(const fs::path& file, const ImportSettings& settings = {}) {
  return message_of<CheckpointError>([&] { import_network(file, settings); });
}

#define EXPECT_HAS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

// scripts/make_import_testdata.py writes the files.
struct Case {
  const char* file;
  const char* network;
  const char* key = "";
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.file; }

class ImportedFile : public testing::TestWithParam<Case> {};

TEST_P(ImportedFile, GivesTheLogitsThatPyTorchGives) {
  const auto& [name, network, key] = GetParam();
  ImportSettings settings;
  if (std::string(name) == "cifar-option-a-end.pt") settings.recognise.shortcut = ShortcutKind::padded_end;
  const auto imported = import_network(kFolder / name, settings);
  EXPECT_EQ(imported.network->arch().name, network);
  EXPECT_EQ(imported.report.key, key);
  torch::NoGradGuard no_grad;
  const auto logits = recorded(std::string(name) + ".logits");
  const auto images = recorded(std::string(name) + ".images").contiguous(torch::MemoryFormat::ChannelsLast);
  EXPECT_LT((imported.network->forward(images) - logits).abs().max().item<double>(), 1e-5) << logits.abs().max();
}

INSTANTIATE_TEST_SUITE_P(Families, ImportedFile,
                         testing::Values(Case{"torchvision-resnet18.pth", "resnet18-w4"},
                                         Case{"checkpoint-resnet50.tar", "resnet50-w2", "state_dict"},
                                         Case{"cifar-shortcut-linear.pth", "resnet18-w4", "net"},
                                         Case{"cifar-option-a-legacy.th", "resnet20-w4", "state_dict"},
                                         Case{"cifar-option-a-end.pt", "resnet-2-2-2-w4"},
                                         Case{"cifar-sequential.pth", "resnet50-w2"},
                                         Case{"hugging-face.safetensors", "resnet18-w4"},
                                         Case{"cifar-named-float64.pth", "resnet-1-2-1-w4"},
                                         Case{"whole-module-wide.pt", "wide-resnet50-w2-2"},
                                         Case{"ema-biases-shared.bin", "resnet-1-1-1-w4", "state_dict"}));

TEST(Import, ReportsWhatItMadeOfAFile) {
  const auto report = import_network(kFolder / "checkpoint-resnet50.tar", {}).report;
  EXPECT_EQ(report.first_key, "module._orig_mod.conv1.weight");
  EXPECT_EQ(report.bookkeeping, 53);
  EXPECT_EQ(report.matched, 53 * 5 + 2);
  EXPECT_EQ(report.notes, (std::vector<std::string>{"epoch 90", "arch resnet50", "best_acc1 76.13"}));
  EXPECT_TRUE(report.other_keys.empty());
}

TEST(Import, TakesTheDictThatIsAskedFor) {
  const auto file = kFolder / "ema-biases-shared.bin";
  EXPECT_EQ(import_network(file, {}).report.other_keys, (std::vector<std::string>{"state_dict_ema"}));
  ImportSettings settings;
  settings.key = "state_dict_ema";
  const auto average = import_network(file, settings);
  EXPECT_EQ(average.report.biases.size(), 9u);
  torch::NoGradGuard no_grad;
  const std::string name = "ema-biases-shared.bin:state_dict_ema";
  const auto logits = average.network->forward(recorded(name + ".images"));
  EXPECT_LT((logits - recorded(name + ".logits")).abs().max().item<double>(), 1e-5);
  settings.key = "ema";
  EXPECT_HAS(refusal(file, settings), "no tensors at the key 'ema'; there are some at 'state_dict_ema', 'state_dict'");
}

// A safetensors file with these tensors beside those of an imported network.
fs::path with_more(const TestFolder& folder, const std::vector<std::pair<std::string, torch::Tensor>>& more) {
  const auto file = read_safetensors(kFolder / "hugging-face.safetensors");
  NamedTensors tensors = more;
  for (const auto& t : file.tensors) {
    const bool replaced = std::any_of(more.begin(), more.end(), [&](const auto& m) { return m.first == t.name; });
    if (!replaced)
      tensors.emplace_back(t.name,
                           torch::from_blob(const_cast<std::byte*>(t.data), t.shape, torch_type(t.type)).clone());
  }
  save_tensors(folder / "more.safetensors", tensors, {});
  return folder / "more.safetensors";
}

TEST(Import, RefusesWhatIsLeftOverUnlessItIsToBeIgnored) {
  const TestFolder folder;
  const auto file = with_more(folder, {{"resnet.encoder.stages.0.layers.0.se.fc.weight", torch::ones({2})}});
  const auto message = refusal(file);
  EXPECT_HAS(message, file.string() + ": 1 of ");
  EXPECT_HAS(message, "resnet.encoder.stages.0.layers.0.se.fc.weight");
  EXPECT_HAS(message, "SE-ResNet");
  ImportSettings settings;
  settings.ignore = {"resnet.encoder.stages.0.layers.0.se."};
  EXPECT_EQ(import_network(file, settings).report.ignored.size(), 1u);
}

TEST(Import, RefusesTensorsThatAreNotWeights) {
  const TestFolder folder;
  EXPECT_HAS(refusal(with_more(folder, {{"classifier.1.bias", torch::full({6}, NAN)}})), "not finite");
  EXPECT_HAS(refusal(with_more(folder, {{"classifier.1.bias", torch::ones({6}, torch::kInt64)}})), "type int64");
  EXPECT_HAS(refusal(with_more(folder, {{"resnet.embedder.embedder.normalization.running_var", torch::ones({1})}})),
             "is [1], expected [4]");
  EXPECT_HAS(refusal(with_more(folder, {{"fc.bias", torch::ones({6})}})), "would be head.bias");
}

TEST(Import, SaysThatAModelOfMfiIsOneAlready) {
  const TestFolder folder;
  const Network network(resnet_arch("resnet20", 4, 10));
  save_model(folder / "model.safetensors", network, {});
  EXPECT_HAS(refusal(folder / "model.safetensors"), "is a model of mfi already");
}

TEST(Import, SaysWhatAFileIsThatHoldsNoNetwork) {
  const TestFolder folder;
  std::ofstream(folder / "page.pth") << "<html>not found</html>";
  EXPECT_HAS(refusal(folder / "page.pth"), "a page or a pointer");
  EXPECT_THROW(import_network(folder / "none.pth", {}), NotFoundError);
}

}  // namespace
}  // namespace mfi
