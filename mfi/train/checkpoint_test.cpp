#include "mfi/train/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "mfi/core/error.h"
#include "mfi/train/test_data.h"

namespace mfi {
namespace {

using testing::HasSubstr;

Arch arch(int64_t width = 8) {
  auto out = resnet_arch("resnet20", width, 3);
  FlowArch flow;
  flow.hidden = 6;
  flow.modules = flow.steps = 2;
  return with_flow_stage(out, 2, flow);
}

std::shared_ptr<Network> network() {
  auto net = std::make_shared<Network>(arch());
  initialise(*net, 1);
  return net;
}

const ModelInfo kInfo{{"cat", "dog", "ship"}, {{0.1f, 0.2f, 0.3f}, {0.4f, 0.5f, 0.6f}}, "sample", "hybrid"};

TEST(ModelFile, AloneRebuildsItsNetwork) {
  const TestFolder folder;
  const auto file = folder.path() / "model.safetensors";
  const auto net = network();
  save_model(file, *net, kInfo);
  const auto model = load_model(file);
  EXPECT_EQ(model.network->arch(), arch());
  const auto before = named_tensors(*net), after = named_tensors(*model.network);
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(torch::equal(before[i].second, after[i].second)) << before[i].first;
  EXPECT_EQ(model.info.class_names, kInfo.class_names);
  EXPECT_EQ(model.info.normalisation.stddev, kInfo.normalisation.stddev);
  EXPECT_EQ(model.info.step, "hybrid");
  EXPECT_FALSE(model.network->is_training());
}

TEST(ModelFile, HasTheSameBytesForTheSameNetwork) {
  const TestFolder folder;
  for (const auto* name : {"a", "b"}) save_model(folder.path() / name, *network(), kInfo);
  std::ifstream a(folder.path() / "a"), b(folder.path() / "b");
  EXPECT_TRUE(std::equal(std::istreambuf_iterator<char>(a), {}, std::istreambuf_iterator<char>(b), {}));
}

TEST(ModelFile, OfAnotherArchIsRefusedNamingTheDifference) {
  const TestFolder folder;
  const auto file = folder.path() / "model.safetensors";
  save_model(file, *network(), kInfo);
  const auto message = message_of<CheckpointError>([&] { load_model(file, arch(16)); });
  EXPECT_THAT(message, HasSubstr("stem_channels: 8 here, 16 there"));
  EXPECT_THAT(message, HasSubstr(file.string()));
}

TEST(ModelFile, ThatDescribesFarMoreThanItHoldsTakesNoMemoryForIt) {
  const TestFolder folder;
  const auto file = folder.path() / "model.safetensors";
  auto huge = resnet_arch("resnet20", 8, 3);
  for (auto& stage : huge.stages) std::get<BlocksArch>(stage.body).count = 1'000'000;
  save_tensors(
      file, {{"head.bias", torch::zeros({3})}},
      {{"mfi.arch", arch_to_json(huge)},
       {"mfi.info", R"({"class_names":["a","b","c"],"mean":[0,0,0],"stddev":[1,1,1],"dataset":"","step":""})"}});
  EXPECT_THAT(message_of<CheckpointError>([&] { load_model(file); }), HasSubstr("but holds only 12 B"));
}

TEST(ModelFile, ThatSaysWhatCannotBeIsRefused) {
  const TestFolder folder;
  const auto file = folder.path() / "model.safetensors";
  const auto refusal = [&](const std::string& info) {
    save_tensors(file, named_tensors(*network()), {{"mfi.arch", arch_to_json(arch())}, {"mfi.info", info}});
    return message_of<CheckpointError>([&] { load_model(file); });
  };
  const std::string names = R"("class_names":["a","b","c"],)", plain = R"("mean":[0,0,0],"stddev":[1,1,1],)",
                    rest = R"("dataset":"","step":"")";
  EXPECT_EQ(refusal("{" + names + plain + rest + "}"), "(nothing)");
  EXPECT_THAT(refusal(R"({"class_names":["a"],)" + plain + rest + "}"), HasSubstr("1 class_names for 3 classes"));
  EXPECT_THAT(refusal("{" + names + R"("mean":[0,0,0],"stddev":[1,0,1],)" + rest + "}"), HasSubstr("stddev above 0"));
  EXPECT_THAT(refusal("{" + names + plain + rest + R"(,"crop":0})"), HasSubstr("crop is not 0.01 to 1"));
  EXPECT_THAT(refusal("{" + names + plain + rest + R"(,"resize":"nearest"})"), HasSubstr("resize is neither"));
}

TEST(ModelFile, KnowsWhetherClassesMayBeItsOwn) {
  EXPECT_TRUE(kInfo.may_have_classes({"cat", "dog", "ship"}));
  EXPECT_FALSE(kInfo.may_have_classes({"cat", "dog", "owl"}));
  ModelInfo numbers;
  numbers.class_names = {"0", "1"};
  EXPECT_TRUE(numbers.may_have_classes({"cat", "dog"}));
  EXPECT_FALSE(numbers.may_have_classes({"cat", "dog", "ship"}));
}

TEST(LoadTensors, RefusesAnotherShapeAndLeavesTheTargetAlone) {
  const TestFolder folder;
  const auto file = folder.path() / "t";
  save_tensors(file, {{"a", torch::ones({2})}, {"b", torch::ones({3})}}, {});
  const auto a = torch::zeros({2}), b = torch::zeros({4});
  EXPECT_THAT(message_of<CheckpointError>([&] {
                load_tensors(file, {{"a", a}, {"b", b}});
              }),
              HasSubstr("tensor 'b' is float32 [3], expected float32 [4]"));
  EXPECT_EQ(a.sum().item<double>(), 0);
}

TEST(LoadTensors, NamesWhatIsMissingAndWhatIsLeftOver) {
  const TestFolder folder;
  const auto file = folder.path() / "t";
  save_tensors(file, {{"a", torch::ones({2})}, {"b", torch::ones({3})}}, {});
  const auto a = torch::zeros({2});
  EXPECT_THAT(message_of<CheckpointError>([&] { load_tensors(file, {{"c", a}}); }), HasSubstr("'c' is missing"));
  EXPECT_THAT(message_of<CheckpointError>([&] { load_tensors(file, {{"a", a}}); }), HasSubstr("'b' has no place"));
}

TEST(LoadTensors, KeepsTypesAndStridedTensors) {
  const TestFolder folder;
  const auto file = folder.path() / "t";
  const auto strided = torch::arange(6, torch::kFloat32).view({2, 3}).t();
  const auto half = torch::ones({2}, torch::kBFloat16) * 1.5;
  save_tensors(file, {{"strided", strided}, {"half", half}}, {{"k", "v"}});
  const auto to = torch::zeros({3, 2}), to_half = torch::zeros({2}, torch::kBFloat16);
  const auto metadata = load_tensors(file, {{"half", to_half}, {"strided", to}});
  EXPECT_TRUE(torch::equal(to, strided));
  EXPECT_TRUE(torch::equal(to_half, half));
  EXPECT_EQ(metadata.at("k"), "v");
}

TEST(ModelFile, ThatIsCutIsRefused) {
  const TestFolder folder;
  const auto file = folder.path() / "model.safetensors";
  save_model(file, *network(), kInfo);
  for (const double share : {0.0, 0.001, 0.3, 0.999}) {
    save_model(file, *network(), kInfo);
    std::filesystem::resize_file(file,
                                 static_cast<uintmax_t>(share * static_cast<double>(std::filesystem::file_size(file))));
    EXPECT_THAT(message_of<CheckpointError>([&] { load_model(file); }), HasSubstr(file.string())) << share;
  }
}

TEST(ModelFile, ThatMfiDidNotWriteIsRefused) {
  const TestFolder folder;
  save_tensors(folder.path() / "t", {{"a", torch::ones({2})}}, {});
  EXPECT_THAT(message_of<CheckpointError>([&] { load_model(folder.path() / "t"); }),
              HasSubstr("no description of the network"));
}

}  // namespace
}  // namespace mfi
