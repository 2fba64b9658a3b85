// Whether the candidates of a search gain by sharing a convolution: the alignments of four flow stages on the same
// input, forward and the gradients of their weights, each by itself or as one of four times the channels
// (docs/search.md).
//
// usage: [OMP_NUM_THREADS=N] packing_bench [Google Benchmark's flags]
//
// Names are apart/SHAPE and packed/SHAPE.
#include "mfi/core/torch.h"

#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "mfi/core/text.h"
#include "mfi/nn/flow_stage.h"
#include "mfi/nn/layers.h"
#include "mfi/nn/network.h"
#include "mfi/pipeline/machine.h"

namespace mfi {
namespace {

constexpr int64_t kBatch = 128, kCandidates = 4;

void measure(benchmark::State& state, const ConvShape& shape, int64_t size, int64_t layers) {
  std::vector<std::shared_ptr<ConvNorm>> alignments;
  for (int64_t i = 0; i < layers; ++i) {
    alignments.push_back(std::make_shared<ConvNorm>(shape, /*folded=*/false));
    initialise(*alignments.back(), static_cast<uint64_t>(i));
    alignments.back()->train();
  }
  const auto x =
      torch::randn({kBatch, shape.in, size, size}).to(torch::kBFloat16).contiguous(torch::MemoryFormat::ChannelsLast);
  const auto run = [&] {
    for (const auto& alignment : alignments) {
      const auto y = alignment->forward(x, /*shortcut=*/{}, /*relu=*/true);
      y.backward(torch::ones_like(y));
    }
  };
  run();
  for (auto _ : state) run();
}

void add_all() {
  const auto arch = resnet_arch("resnet34", /*width=*/16, /*classes=*/10);
  int64_t size = arch.image_size;
  for (const auto& stage : arch.stages) {
    for (const int64_t kernel : {1, 3}) {
      auto flow_stage = stage;
      flow_stage.body = FlowArch{.alignment = kernel};
      const auto apart = alignment_shape(flow_stage);
      auto packed = apart;
      packed.out *= kCandidates;
      const auto text =
          format("%lldx%lld %lld-%lld %lldx%lld", static_cast<long long>(kernel), static_cast<long long>(kernel),
                 static_cast<long long>(apart.in), static_cast<long long>(apart.out), static_cast<long long>(size),
                 static_cast<long long>(size));
      const auto add = [&](const std::string& name, const ConvShape& shape, int64_t layers) {
        benchmark::RegisterBenchmark((name + "/" + text).c_str(),
                                     [=, size = size](benchmark::State& state) { measure(state, shape, size, layers); })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      };
      add("apart", apart, kCandidates);
      add("packed", packed, 1);
    }
    size = (size - 1) / stage.stride + 1;
  }
}

}  // namespace
}  // namespace mfi

int main(int argc, char** argv) {
  torch::manual_seed(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  benchmark::AddCustomContext("machine", mfi::machine_text());
  benchmark::AddCustomContext("versions", mfi::version_text());
  mfi::add_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
