#include "mfi/exchange/graph.h"

#include <gtest/gtest.h>

#include <set>

#include "mfi/core/error.h"
#include "mfi/exchange/test_networks.h"

namespace mfi {
namespace {

TEST(Graph, GivesTheNetworksLogits) {
  torch::NoGradGuard no_grad;
  for (const auto& [name, arch] : every_kind_of_network()) {
    SCOPED_TRACE(name);
    const auto network = lively_network(arch);
    const auto images = torch::randn({3, 3, arch.image_size, arch.image_size});
    const auto expected = network->forward(images);
    const auto graph = graph_of(*network);
    const double difference = (run_graph(graph, images) - expected).abs().max().item<double>();
    EXPECT_LT(difference, 1e-5 * std::max(1.0, expected.abs().max().item<double>())) << name;
    EXPECT_NO_THROW(check_graph(graph, *network)) << name;
  }
}

TEST(Graph, NamesEveryValueOnceAndVisitsAll) {
  for (const auto& [name, arch] : every_kind_of_network()) {
    const auto graph = graph_of(*lively_network(arch));
    std::set<std::string> made{graph.input}, visited;
    for (const auto& op : graph.ops) {
      for (const auto& input : op.inputs) EXPECT_TRUE(made.contains(input)) << name << ": " << input;
      EXPECT_TRUE(made.insert(op.output).second) << name << ": " << op.output;
    }
    run_graph(graph, torch::randn({1, 3, arch.image_size, arch.image_size}),
              [&](const std::string& value, const torch::Tensor&) { visited.insert(value); });
    EXPECT_EQ(visited.size(), graph.ops.size()) << name;
  }
}

TEST(Graph, ACheckFindsAnotherNetwork) {
  const auto network = lively_network(every_kind_of_network()[0].second);
  auto graph = graph_of(*network);
  graph.ops.back().bias = graph.ops.back().bias + 0.01;
  EXPECT_THROW(check_graph(graph, *network), Error);
}

}  // namespace
}  // namespace mfi
