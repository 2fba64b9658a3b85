// That Python gives the network's logits is shown by 'mfi verify' (cli/exchange_test.cpp, where torch is installed).
#include "mfi/exchange/pytorch_export.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mfi/exchange/test_networks.h"
#include "mfi/nn/fold.h"

namespace mfi {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(PytorchExport, HasOnlyTheClassesThatItNeeds) {
  const auto kinds = every_kind_of_network();
  const auto source = [&](size_t i) {
    return pytorch_source(fold(*lively_network(kinds[i].second))->arch(), {}, "net.safetensors");
  };
  EXPECT_THAT(source(0), HasSubstr("class Block("));
  EXPECT_THAT(source(0), Not(HasSubstr("class Flow(")));
  EXPECT_THAT(source(4),
              HasSubstr("self.stage4 = Flow(16, 32, stride=2, hidden=6, depth=2, modules=2, steps=4, alignment=3)"));
  EXPECT_THAT(source(5), Not(HasSubstr("class Block(")));
  EXPECT_THAT(source(5), HasSubstr("self.stage2 = Flow(4, 8, stride=2, hidden=5, steps=2, kernel=1)"));
  EXPECT_THAT(source(6),
              HasSubstr("self.stage2 = Flow(4, 8, stride=1, hidden=6, depth=2, kernel=5, groups=6, pooling=2)"));
  EXPECT_THAT(source(6),
              HasSubstr("self.stage3 = Flow(8, 16, stride=1, hidden=5, alignment=3, dilation=2, pooling=2)"));
  EXPECT_THAT(source(6), HasSubstr("self.stage4 = Flow(16, 32, stride=2, hidden=7, modules=2, steps=4, kernel=7, "
                                   "dilation=4, groups=7, learned=True)"));
  EXPECT_THAT(source(1), HasSubstr("F.max_pool2d(x, 3, 2, 1)"));
  EXPECT_THAT(source(2), HasSubstr("shortcut=\"padded\""));
  for (size_t i = 0; i < kinds.size(); ++i) EXPECT_THAT(source(i), Not(HasSubstr("<<")));
}

TEST(PytorchExport, NamesTensorsAsTheModuleDoes) {
  const auto folded = fold(*lively_network(every_kind_of_network()[4].second));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : pytorch_tensors(*folded)) names.push_back(name);
  for (const char* name :
       {"stem.weight", "stem.bias", "stage1.block0.conv1.weight", "stage2.block0.shortcut.bias",
        "stage4.alignment.weight", "stage4.velocity1.enter.weight", "stage4.velocity0.middle1.weight",
        "stage4.velocity0.leave.bias", "stage4.velocity0.time_bias", "head.weight"})
    EXPECT_THAT(names, testing::Contains(name));
}

TEST(PytorchExport, LetsNoNameOutOfItsQuotes) {
  Arch arch = fold(*lively_network(every_kind_of_network()[0].second))->arch();
  arch.name = "x\"\"\"\nimport os";
  ModelInfo info;
  info.class_names = {"a\"]\nimport os #"};
  const auto source = pytorch_source(arch, info, "we\"ird.safetensors");
  EXPECT_THAT(source, Not(HasSubstr("\nimport os")));
  EXPECT_THAT(source, HasSubstr("with_name(\"we\\\"ird.safetensors\")"));
}

}  // namespace
}  // namespace mfi
