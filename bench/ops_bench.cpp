// Speed of the operations of mfi/ops on the shapes of ResNet-34, beside what the machine can do at most (peak.h).
//
// usage: [OMP_NUM_THREADS=N] ops_bench [--benchmark_filter=REGEX] and Google Benchmark's other flags
//
// Names are OPERATION/WIDTH/PRECISION/SHAPE. Operands lie where the last call left them, as far as they fit into a
// cache. bandwidth_percent compares with a triad over as many bytes as the operation touches, so that it means the
// same in every cache.
#include "mfi/core/torch.h"

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <malloc.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "bench/peak.h"
#include "mfi/core/text.h"
#include "mfi/nn/arch.h"
#include "mfi/nn/blocks.h"
#include "mfi/ops/channel_passes.h"
#include "mfi/ops/conv_bias.h"
#include "mfi/ops/conv_norm.h"
#include "mfi/ops/convolution.h"
#include "mfi/ops/parallel.h"
#include "mfi/ops/path_ops.h"
#include "mfi/ops/tensor_access.h"
#include "mfi/pipeline/machine.h"

namespace mfi {
namespace {

using torch::autograd::grad;

constexpr int64_t kBatch = 128;

// What one call of an operation comes to: at least so much has to be computed, read and written.
struct Work {
  double flops = 0;  // 0: nothing to speak of
  double bytes = 0;
};

using Call = std::function<void()>;

struct Operation {
  std::string name;
  torch::Dtype dtype;
  Work work;
  std::function<Call()> prepare;  // makes the operands; not measured
};

void measure(benchmark::State& state, const Operation& operation) {
  using benchmark::Counter;
  const auto call = operation.prepare();
  call();
  for (auto _ : state) call();
  const auto rate = [&](const char* name, double amount) {
    state.counters[name] = Counter(amount, Counter::kIsIterationInvariantRate);
  };
  const auto& work = operation.work;
  if (work.flops > 0) {
    const auto peak = operation.dtype == torch::kBFloat16 ? bf16_peak() : fp32_peak();
    rate("GFLOP/s", work.flops / 1e9);
    rate("peak_percent", 100 * work.flops / peak.flops_per_s);
  }
  rate("GB/s", work.bytes / 1e9);
  rate("bandwidth_percent", 100 * work.bytes / triad_bandwidth(work.bytes));
}

void add(const Operation& operation) {
  benchmark::RegisterBenchmark(operation.name.c_str(),
                               [operation](benchmark::State& state) { measure(state, operation); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

torch::Tensor activations(int64_t images, int64_t channels, int64_t size, torch::Dtype dtype) {
  // A few images over and over: random numbers would take longer than what is measured.
  return torch::randn({4, channels, size, size})
      .repeat({images / 4, 1, 1, 1})
      .to(dtype)
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

// A convolution of a network, and its input's height and width.
struct PlacedConv {
  ConvShape shape;
  int64_t size;

  int64_t out_size() const { return (size - 1) / shape.stride + 1; }
  // Of one image, without the products with its padding: an implementation can leave them out, and on 4x4 pixels that
  // is a third of them. (Winograd's needs fewer still, and can therefore go beyond the machine's peak.)
  int64_t macs() const {
    int64_t taps = 0;  // that meet a pixel, along one axis
    for (int64_t out = 0; out < out_size(); ++out)
      for (int64_t tap = 0; tap < shape.kernel; ++tap) {
        const int64_t at = out * shape.stride + tap - shape.kernel / 2;
        if (at >= 0 && at < size) ++taps;
      }
    return taps * taps * shape.in * shape.out;
  }
  bool operator==(const PlacedConv& other) const {
    return shape.in == other.shape.in && shape.out == other.shape.out && shape.kernel == other.shape.kernel &&
           shape.stride == other.shape.stride && size == other.size;
  }
  std::string text() const {
    return format("%lldx%lld %lld-%lld %lldx%lld", static_cast<long long>(shape.kernel),
                  static_cast<long long>(shape.kernel), static_cast<long long>(shape.in),
                  static_cast<long long>(shape.out), static_cast<long long>(size), static_cast<long long>(size)) +
           (shape.stride > 1 ? format(" stride %lld", static_cast<long long>(shape.stride)) : "");
  }
};

// The distinct ones of a network without flow stages, in order.
std::vector<PlacedConv> convolutions(const Arch& arch) {
  std::vector<PlacedConv> out;
  const auto place = [&](const ConvShape& shape, int64_t size) {
    const PlacedConv conv{shape, size};
    if (std::find(out.begin(), out.end(), conv) == out.end()) out.push_back(conv);
    return conv.out_size();
  };
  int64_t size = place({arch.in_channels, arch.stem_channels, 3, 1}, arch.image_size);
  for (const auto& stage : arch.stages) {
    const auto& body = std::get<BlocksArch>(stage.body);
    int64_t in = stage.in_channels;
    for (int64_t block = 0; block < body.count; ++block) {
      const auto shapes = block_shapes(body, in, stage.out_channels, block == 0 ? stage.stride : 1);
      if (shapes.has_shortcut) place(shapes.shortcut, size);
      for (const auto& conv : shapes.convs) size = place(conv, size);
      in = stage.out_channels;
    }
  }
  return out;
}

struct ConvOperands {
  ConvOperands(const PlacedConv& conv, torch::Dtype dtype)
      : x(activations(kBatch, conv.shape.in, conv.size, dtype)),
        y(activations(kBatch, conv.shape.out, conv.out_size(), dtype)),
        weight((0.1 * torch::randn({conv.shape.out, conv.shape.in, conv.shape.kernel, conv.shape.kernel}))
                   .contiguous(torch::MemoryFormat::ChannelsLast)),
        typed_weight(weight.to(dtype)) {}

  torch::Tensor x;
  torch::Tensor y;       // such as its result, or the gradient of that
  torch::Tensor weight;  // float32
  torch::Tensor typed_weight;
};

void add_convolution(const std::string& width, const std::string& precision, const PlacedConv& conv,
                     torch::Dtype dtype) {
  const auto& shape = conv.shape;
  const int64_t stride = shape.stride, in = shape.in, out = shape.out, taps = shape.kernel * shape.kernel;
  const double flops = 2.0 * static_cast<double>(kBatch * conv.macs());
  const double bytes =
      static_cast<double>(c10::elementSize(dtype)) *
      static_cast<double>(kBatch * (conv.size * conv.size * in + conv.out_size() * conv.out_size() * out) +
                          taps * in * out);
  const auto name = [&](const char* operation) {
    return std::string(operation) + "/" + width + "/" + precision + "/" + conv.text();
  };

  add({name("conv_bias"), dtype, {flops, bytes}, [=]() -> Call {
         const ConvOperands o(conv, dtype);
         const auto bias = torch::randn({out});
         return [=] {
           const torch::NoGradGuard no_grad;
           conv_bias(o.x, o.weight, bias, stride, /*shortcut=*/{}, /*relu=*/true);
         };
       }});
  const auto gradients = [&](const char* operation, bool of_x, bool of_weight) {
    add({name(operation), dtype, {flops, bytes}, [=]() -> Call {
           const ConvOperands o(conv, dtype);
           return [=] { conv_gradients(o.y, o.x, o.typed_weight, stride, of_x, of_weight); };
         }});
  };
  gradients("x_gradient", true, false);
  gradients("weight_gradient", false, true);
  add({name("onednn_weight_gradient"), dtype, {flops, bytes}, [=]() -> Call {
         const ConvOperands o(conv, dtype);
         return [=] {
           at::convolution_backward(o.y, o.x, o.typed_weight, /*bias_sizes=*/at::OptionalIntArrayRef(),
                                    {stride, stride}, padding_of(o.weight), /*dilation=*/{1, 1}, /*transposed=*/false,
                                    /*output_padding=*/{0, 0}, /*groups=*/1, {false, true, false});
         };
       }});
  // Three times the arithmetic, but for the images' gradient, which nothing wants. x: read twice, its gradient written.
  // As large as y: forward, y written and read twice, the result written; backward, the arriving gradient, the result
  // and y read twice, y's gradient written and read by two convolutions.
  const bool images = in == 3;
  const double element = static_cast<double>(c10::elementSize(dtype));
  const double xs = element * static_cast<double>(kBatch * conv.size * conv.size * in);
  const double ys = element * static_cast<double>(kBatch * conv.out_size() * conv.out_size() * out);
  add({name("conv_norm"), dtype, {flops * (images ? 2 : 3), xs * (images ? 2 : 3) + ys * 13}, [=]() -> Call {
         const ConvOperands o(conv, dtype);
         auto x = o.x.detach();
         if (!images) x.requires_grad_();
         const ConvNormWeights weights{o.weight.detach().requires_grad_(),
                                       torch::ones({out}).requires_grad_(),
                                       torch::zeros({out}).requires_grad_(),
                                       torch::zeros({out}),
                                       torch::ones({out}),
                                       stride};
         torch::autograd::variable_list wanted{weights.weight, weights.gamma, weights.beta};
         if (!images) wanted.push_back(x);
         return [=] { grad({conv_norm(x, weights, /*shortcut=*/{}, /*relu=*/true)}, wanted, {o.y}); };
       }});
}

// Calls pass(begin, count, thread) for the rows of each thread, as conv_norm does.
template <class Pass>
void on_all_threads(const ColumnLayout& layout, const Pass& pass) {
  const int64_t threads = parallel_threads();
  for_each_parallel(threads, [&](int64_t t) {
    const int64_t begin = layout.begin(layout.rows() * t / threads);
    const int64_t end = layout.end(layout.rows() * (t + 1) / threads);
    if (begin < end) pass(begin, end - begin, static_cast<size_t>(t));
  });
}

template <class T>
void add_passes(const std::string& width, const std::string& precision, const StageArch& stage, int64_t size,
                torch::Dtype dtype) {
  const int64_t channels = stage.out_channels;
  const double array = static_cast<double>(kBatch * size * size * channels * static_cast<int64_t>(sizeof(T)));
  struct Operands {
    Operands(int64_t channels, int64_t size, torch::Dtype dtype)
        : layout(kBatch * size * size, channels),
          columns(static_cast<size_t>(layout.width), 0.5F),
          sums(static_cast<size_t>(parallel_threads()), std::vector<double>(columns.size())),
          other_sums(sums) {
      for (auto& t : tensors) t = activations(kBatch, channels, size, dtype);
    }
    T* operator[](size_t i) const { return mutable_data<T>(tensors[i]); }

    ColumnLayout layout;
    std::vector<float> columns;
    std::vector<std::vector<double>> sums, other_sums;  // of each thread
    torch::Tensor tensors[4];
  };
  // arrays: how many of them are read or written. pass(o, begin, count, thread).
  const auto add_pass = [&](const char* name, int arrays, const auto& pass) {
    add({format("%s/%s/%s/%lld %lldx%lld", name, width.c_str(), precision.c_str(), static_cast<long long>(channels),
                static_cast<long long>(size), static_cast<long long>(size)),
         dtype,
         {0, arrays * array},
         [=]() -> Call {
           const auto o = std::make_shared<Operands>(channels, size, dtype);
           return [=] {
             on_all_threads(o->layout,
                            [&](int64_t begin, int64_t count, size_t thread) { pass(*o, begin, count, thread); });
           };
         }});
  };
  add_pass("add_column_sums", 1, [](Operands& o, int64_t begin, int64_t count, size_t t) {
    add_column_sums(o[0] + begin, count, o.layout.width, o.columns.data(), o.sums[t].data(), o.other_sums[t].data());
  });
  add_pass("scale_shift", 2, [](Operands& o, int64_t begin, int64_t count, size_t) {
    scale_shift<T>(o[0] + begin, nullptr, count, o.layout.width, o.columns.data(), o.columns.data(), true,
                   o[1] + begin);
  });
  add_pass("scale_shift_shortcut", 3, [](Operands& o, int64_t begin, int64_t count, size_t) {
    scale_shift<T>(o[0] + begin, o[1] + begin, count, o.layout.width, o.columns.data(), o.columns.data(), true,
                   o[2] + begin);
  });
  add_pass("add_gradient_sums", 3, [](Operands& o, int64_t begin, int64_t count, size_t t) {
    add_gradient_sums(o[0] + begin, o[1] + begin, o[2] + begin, count, o.layout.width, o.columns.data(),
                      o.sums[t].data(), o.other_sums[t].data());
  });
  add_pass("mask_gradient", 3, [](Operands& o, int64_t begin, int64_t count, size_t t) {
    mask_gradient(o[0] + begin, o[1] + begin, count, o.layout.width, o.sums[t].data(), o[2] + begin);
  });
  add_pass("apply_gradient", 4, [](Operands& o, int64_t begin, int64_t count, size_t) {
    apply_gradient<T>(o[0] + begin, o[1] + begin, o[2] + begin, count, o.layout.width, o.columns.data(),
                      o.columns.data(), o.columns.data(), o[3] + begin, nullptr);
  });
}

void add_path_operations(const std::string& width, const std::string& precision, const StageArch& stage, int64_t size,
                         torch::Dtype dtype) {
  const int64_t channels = stage.out_channels;
  constexpr int64_t kDistinct = kBatch / 4;  // samples with r < t
  const double array =
      static_cast<double>(kBatch * size * size * channels) * static_cast<double>(c10::elementSize(dtype));
  const auto add_one = [&](const char* name, double arrays, const std::function<Call()>& prepare) {
    add({format("%s/%s/%s/%lld %lldx%lld", name, width.c_str(), precision.c_str(), static_cast<long long>(channels),
                static_cast<long long>(size), static_cast<long long>(size)),
         dtype,
         {0, arrays * array},
         prepare});
  };
  const auto feature = [=](int64_t images = kBatch) { return activations(images, channels, size, dtype); };

  add_one("interpolate_samples", 3, [=]() -> Call {
    const auto z0 = feature(), z1 = feature(), t = torch::rand({kBatch});
    return [=] { interpolate_samples(z0, z1, t); };
  });
  add_one("interpolate_samples_backward", 2, [=]() -> Call {
    const auto z1 = feature().requires_grad_(), g = feature();
    const auto z = interpolate_samples(feature(), z1, torch::rand({kBatch}));
    return [=] { grad({z}, {z1}, {g}, /*retain_graph=*/true); };
  });
  const double derivative = static_cast<double>(kDistinct) / static_cast<double>(kBatch);
  add_one("velocity_error", 4 + derivative, [=]() -> Call {
    const auto u = feature(), z0 = feature(), z1 = feature(), d = feature(kDistinct), step = torch::rand({kDistinct});
    return [=] { velocity_error(u, z0, z1, d, step); };
  });
  add_one("velocity_error_backward", 3, [=]() -> Call {
    const auto u = feature().requires_grad_(), z1 = feature().requires_grad_();
    const auto error = velocity_error(u, feature(), z1, feature(kDistinct), torch::rand({kDistinct}));
    const auto g = torch::ones_like(error);
    return [=] { grad({error}, {u, z1}, {g}, /*retain_graph=*/true); };
  });
}

void add_all() {
  for (const int64_t width : {16, 64}) {
    const auto arch = resnet_arch("resnet34", width, /*classes=*/10);
    const auto width_text = "w" + std::to_string(width);
    for (const auto dtype : {torch::kBFloat16, torch::kFloat32}) {
      const std::string precision = dtype == torch::kBFloat16 ? "bf16" : "fp32";
      for (const auto& conv : convolutions(arch)) add_convolution(width_text, precision, conv, dtype);
      int64_t size = arch.image_size;
      for (const auto& stage : arch.stages) {
        size = (size - 1) / stage.stride + 1;
        with_element(dtype, [&]<class T>(T) { add_passes<T>(width_text, precision, stage, size, dtype); });
        add_path_operations(width_text, precision, stage, size, dtype);
      }
    }
  }
}

void add_context() {
  const auto number = [](double value) { return format("%.1f", value); };
  benchmark::AddCustomContext("machine", machine_text());
  benchmark::AddCustomContext("versions", version_text());
  benchmark::AddCustomContext("fp32_peak_gflop_per_s", number(fp32_peak().flops_per_s / 1e9));
  benchmark::AddCustomContext("fp32_peak_instructions", fp32_peak().instructions);
  benchmark::AddCustomContext("bf16_peak_gflop_per_s", number(bf16_peak().flops_per_s / 1e9));
  benchmark::AddCustomContext("bf16_peak_instructions", bf16_peak().instructions);
  benchmark::AddCustomContext("memory_gb_per_s", number(triad_bandwidth(memory_bytes()) / 1e9));
  benchmark::AddCustomContext("l2_gb_per_s", number(triad_bandwidth(l2_bytes()) / 1e9));
}

}  // namespace
}  // namespace mfi

int main(int argc, char** argv) {
  // As the program's main does it: what is measured is not the page faults of fresh memory.
  mallopt(M_MMAP_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  torch::manual_seed(1);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  mfi::add_context();
  mfi::add_all();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
