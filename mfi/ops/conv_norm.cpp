#include "mfi/ops/conv_norm.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "mfi/ops/convolution.h"
#include "mfi/ops/operation_scope.h"
#include "mfi/ops/parallel.h"
#include "mfi/ops/tensor_access.h"

namespace mfi {
namespace {

// A thread's share of a pass, in values: below this it is not worth waking one.
constexpr int64_t kValuesPerThread = 16384;

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One convolution's result as the passes see it.
class Activations {
 public:
  explicit Activations(const torch::Tensor& y)
      : layout_(y.size(0) * y.size(2) * y.size(3), y.size(1)),
        chunks_(std::clamp<int64_t>(layout_.values / kValuesPerThread, 1, parallel_threads())) {}

  const ColumnLayout& layout() const { return layout_; }
  double pixels() const { return static_cast<double>(layout_.values / layout_.channels); }

  // pass(begin, count, chunk) for every chunk, side by side.
  template <class Pass>
  void for_each_chunk(const Pass& pass) const {
    const int64_t rows = layout_.rows();
    for_each_parallel(chunks_, [&](int64_t chunk) {
      const int64_t begin = layout_.begin(rows * chunk / chunks_), end = layout_.end(rows * (chunk + 1) / chunks_);
      if (begin < end) pass(begin, end - begin, static_cast<size_t>(chunk));
    });
  }

  // Two sums a channel, by pass(begin, count, sums, other_sums) with [width] sums to add to. The chunks' sums
  // are added up in order, so that the same threads give the same bits.
  struct Sums {
    std::vector<double> first, second;  // [channels]
  };
  template <class Pass>
  Sums sums(const Pass& pass) const {
    const auto width = static_cast<size_t>(layout_.width), chunks = static_cast<size_t>(chunks_);
    std::vector<double> first(chunks * width), second(chunks * width);
    for_each_chunk([&](int64_t begin, int64_t count, size_t chunk) {
      pass(begin, count, first.data() + chunk * width, second.data() + chunk * width);
    });
    for (size_t i = width; i < chunks * width; ++i) {
      first[i % width] += first[i];
      second[i % width] += second[i];
    }
    first.resize(width);
    second.resize(width);
    return {layout_.add_up(first), layout_.add_up(second)};
  }

 private:
  ColumnLayout layout_;
  int64_t chunks_;
};

struct Statistics {
  std::vector<float> mean, inverse_stddev;  // [channels]
  double pixels = 0;                        // that they were taken of
};

float as_float(float x) { return x; }
float as_float(Bf16Bits x) { return c10::detail::f32_from_bits(x); }

// Mean and variance [channels], in float64.
struct Moments {
  std::vector<double> mean, variance;
};

template <class T>
Moments moments(const Activations& activations, const T* y, const std::vector<float>& pivot) {
  const auto pivots = activations.layout().repeat(pivot.data());
  const auto sums = activations.sums([&](int64_t begin, int64_t count, double* sum, double* squares) {
    add_column_sums(y + begin, count, activations.layout().width, pivots.data(), sum, squares);
  });
  Moments out;
  for (size_t c = 0; c < pivot.size(); ++c) {
    const double offset = sums.first[c] / activations.pixels();
    const double variance = sums.second[c] / activations.pixels() - offset * offset;
    out.mean.push_back(pivot[c] + offset);
    out.variance.push_back(variance < 0 ? 0 : variance);  // a NaN stays
  }
  return out;
}

// One pass, around the first pixel's values. Should one of them lie so far from its channel's mean that the
// variance drowns in the rounding of the squares, another around the means just found.
template <class T>
Moments safe_moments(const Activations& activations, const T* y) {
  constexpr double kFar = 10;  // standard deviations; at 10 the variance has lost 2 of float32's 7 digits
  std::vector<float> pivot(static_cast<size_t>(activations.layout().channels));
  for (size_t c = 0; c < pivot.size(); ++c) pivot[c] = as_float(y[c]);
  auto found = moments(activations, y, pivot);
  bool far = false;
  for (size_t c = 0; c < pivot.size(); ++c) {
    const double offset = found.mean[c] - pivot[c];
    far = far || offset * offset > kFar * kFar * found.variance[c];
    pivot[c] = static_cast<float>(found.mean[c]);
  }
  return far ? moments(activations, y, pivot) : found;
}

// Turns the moments of this process's pixels into those of all; returns how many pixels these are.
double share_moments(Moments& moments, double pixels, BatchSums& sums) {
  const size_t channels = moments.mean.size();
  // Around 0, in float64: what cancels leaves more digits than the values had.
  std::vector<double> values{pixels};
  for (size_t c = 0; c < channels; ++c) values.push_back(pixels * moments.mean[c]);
  for (size_t c = 0; c < channels; ++c)
    values.push_back(pixels * (moments.variance[c] + moments.mean[c] * moments.mean[c]));
  sums.add_up(values);
  for (size_t c = 0; c < channels; ++c) {
    moments.mean[c] = values[1 + c] / values[0];
    const double variance = values[1 + channels + c] / values[0] - moments.mean[c] * moments.mean[c];
    moments.variance[c] = variance < 0 ? 0 : variance;  // a NaN stays
  }
  return values[0];
}

template <class T>
Statistics batch_statistics(const Activations& activations, const T* y, const ConvNormWeights& weights) {
  MFI_OPERATION("batch statistics");
  auto found = safe_moments(activations, y);
  const double n = weights.sums ? share_moments(found, activations.pixels(), *weights.sums) : activations.pixels();
  const size_t channels = found.mean.size();
  Statistics out{std::vector<float>(channels), std::vector<float>(channels), n};
  float* running_mean = weights.running_mean.mutable_data_ptr<float>();
  float* running_var = weights.running_var.mutable_data_ptr<float>();
  const double keep = 1 - weights.momentum;
  for (size_t c = 0; c < channels; ++c) {
    const double unbiased = found.variance[c] * n / std::max(1.0, n - 1);
    out.mean[c] = static_cast<float>(found.mean[c]);
    out.inverse_stddev[c] = static_cast<float>(1 / std::sqrt(found.variance[c] + weights.epsilon));
    running_mean[c] = static_cast<float>(keep * running_mean[c] + weights.momentum * found.mean[c]);
    running_var[c] = static_cast<float>(keep * running_var[c] + weights.momentum * unbiased);
  }
  torch::autograd::impl::bump_version(weights.running_mean);
  torch::autograd::impl::bump_version(weights.running_var);
  return out;
}

torch::Tensor to_tensor(const std::vector<float>& values) { return torch::tensor(values, torch::kFloat32); }

class FusedConvNorm : public torch::autograd::Function<FusedConvNorm> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const torch::Tensor& weight,
                               const torch::Tensor& gamma, const torch::Tensor& beta,
                               const std::optional<torch::Tensor>& shortcut, const ConvNormWeights& rest, bool relu) {
    const auto used_weight = weight_for(x, weight, rest.stride);
    const auto y = conv_forward(x, used_weight, std::nullopt, rest.stride, std::nullopt, /*relu=*/false);
    TORCH_CHECK(!shortcut || shortcut->sizes().equals(y.sizes()), "conv_norm: the shortcut is ",
                shortcut ? shortcut->sizes() : y.sizes(), ", expected ", y.sizes());
    const Activations activations(y);
    const auto& layout = activations.layout();
    const auto channels = static_cast<size_t>(layout.channels);
    auto out = torch::empty_like(y);
    Statistics statistics;
    with_element(y.scalar_type(), [&]<class T>(T) {
      statistics = batch_statistics(activations, data<T>(y), rest);
      std::vector<float> scale(channels), shift(channels);
      const float *g = gamma.const_data_ptr<float>(), *b = beta.const_data_ptr<float>();
      for (size_t c = 0; c < channels; ++c) {
        scale[c] = g[c] * statistics.inverse_stddev[c];
        shift[c] = b[c] - statistics.mean[c] * scale[c];
      }
      const auto scales = layout.repeat(scale.data()), shifts = layout.repeat(shift.data());
      MFI_OPERATION("normalisation, shortcut, ReLU");
      activations.for_each_chunk([&](int64_t begin, int64_t count, size_t) {
        scale_shift(data<T>(y) + begin, at_value(shortcut ? data<T>(*shortcut) : nullptr, begin), count, layout.width,
                    scales.data(), shifts.data(), relu, mutable_data<T>(out) + begin);
      });
    });
    // Where ReLU let a value pass can be told from the result, which the next layer keeps as its input.
    context->save_for_backward({x, used_weight, gamma, y, relu ? out : torch::Tensor(), to_tensor(statistics.mean),
                                to_tensor(statistics.inverse_stddev)});
    context->saved_data["stride"] = rest.stride;
    context->saved_data["shortcut"] = shortcut.has_value();
    context->saved_data["pixels"] = statistics.pixels;
    if (rest.sums) context->saved_data["sums"] = c10::IValue::make_capsule(rest.sums);
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &x = saved[0], &used_weight = saved[1], &gamma = saved[2], &y = saved[3], &out = saved[4];
    const float *mean = saved[5].const_data_ptr<float>(), *inverse_stddev = saved[6].const_data_ptr<float>();
    refuse_double_backward("conv_norm");
    const auto gradient = gradients[0].contiguous(torch::MemoryFormat::ChannelsLast);
    const bool shortcut_wanted = context->saved_data["shortcut"].toBool() && context->needs_input_grad(4);

    const Activations activations(y);
    const auto& layout = activations.layout();
    const auto channels = static_cast<size_t>(layout.channels);
    auto y_gradient = torch::empty_like(y), gamma_gradient = torch::empty_like(gamma),
         beta_gradient = torch::empty_like(gamma);
    // Without ReLU what arrives is passed on as it is.
    torch::Tensor shortcut_gradient = shortcut_wanted && !out.defined() ? gradient : torch::Tensor();
    const torch::Tensor masked = shortcut_wanted && out.defined() ? torch::empty_like(y) : torch::Tensor();
    with_element(y.scalar_type(), [&]<class T>(T) {
      MFI_OPERATION("gradient of normalisation, shortcut, ReLU");
      const auto means = layout.repeat(mean);
      const auto sums = activations.sums([&](int64_t begin, int64_t count, double* sum, double* sum_with_y) {
        add_gradient_sums(data<T>(gradient) + begin, at_value(data<T>(out), begin), data<T>(y) + begin, count,
                          layout.width, means.data(), sum, sum_with_y);
      });
      const auto whole = add_up_over_processes(sums, *context);
      const double pixels = context->saved_data["pixels"].toDouble();
      // dL/dy = gamma / stddev * (g - mean(g) - y_hat * mean(g * y_hat)) with y_hat = (y - mean) / stddev,
      // sorted into g * a + y * b + c.
      std::vector<float> a(channels), b(channels), c(channels);
      const float* gammas = gamma.const_data_ptr<float>();
      for (size_t k = 0; k < channels; ++k) {
        const double inverse = inverse_stddev[k], scale = gammas[k] * inverse;
        const double slope = -scale * inverse * inverse * whole.second[k] / pixels;
        a[k] = static_cast<float>(scale);
        b[k] = static_cast<float>(slope);
        c[k] = static_cast<float>(-scale * whole.first[k] / pixels - slope * mean[k]);
        gamma_gradient.mutable_data_ptr<float>()[k] = static_cast<float>(sums.second[k] * inverse);
        beta_gradient.mutable_data_ptr<float>()[k] = static_cast<float>(sums.first[k]);
      }
      const auto as = layout.repeat(a.data()), bs = layout.repeat(b.data()), cs = layout.repeat(c.data());
      activations.for_each_chunk([&](int64_t begin, int64_t count, size_t) {
        apply_gradient(data<T>(gradient) + begin, at_value(data<T>(out), begin), data<T>(y) + begin, count,
                       layout.width, as.data(), bs.data(), cs.data(), mutable_data<T>(y_gradient) + begin,
                       at_value(mutable_data<T>(masked), begin));
      });
    });
    if (masked.defined()) shortcut_gradient = masked;

    const auto through_conv = conv_gradients(y_gradient, x, used_weight, context->saved_data["stride"].toInt(),
                                             context->needs_input_grad(0), context->needs_input_grad(1));
    return {through_conv.x, through_conv.weight, gamma_gradient, beta_gradient, shortcut_gradient, {}, {}};
  }

 private:
  // Two sums a channel over all the pixels that the statistics were taken of.
  static Activations::Sums add_up_over_processes(const Activations::Sums& own, AutogradContext& context) {
    const auto found = context.saved_data.find("sums");
    if (found == context.saved_data.end()) return own;
    auto values = own.first;
    values.insert(values.end(), own.second.begin(), own.second.end());
    static_cast<BatchSums&>(*found->second.toCapsule()).add_up(values);
    const auto half = values.begin() + static_cast<std::ptrdiff_t>(own.first.size());
    return {{values.begin(), half}, {half, values.end()}};
  }
};

// A tensor's sum over the processes; its gradient is the gradients' sum, as every process's result depends on
// every share.
class SharedSum : public torch::autograd::Function<SharedSum> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& x, const BatchSumsPtr& sums) {
    context->saved_data["sums"] = c10::IValue::make_capsule(sums);
    return add_up(x, *sums);
  }
  static variable_list backward(AutogradContext* context, variable_list gradients) {
    return {add_up(gradients[0], static_cast<BatchSums&>(*context->saved_data["sums"].toCapsule())), {}};
  }

 private:
  static torch::Tensor add_up(const torch::Tensor& x, BatchSums& sums) {
    const auto wide = x.to(torch::kCPU, torch::kFloat64).contiguous();
    std::vector<double> values(wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel());
    sums.add_up(values);
    return torch::tensor(values, torch::kFloat64).view(x.sizes()).to(x.options());
  }
};

// Batch norm by the statistics of all processes' shares.
torch::Tensor shared_batch_norm(const torch::Tensor& x, const ConvNormWeights& weights) {
  const auto y = x.scalar_type() == torch::kFloat64 ? x : x.to(torch::kFloat32);
  std::vector<double> pixels{static_cast<double>(y.numel() / y.size(1))};
  weights.sums->add_up(pixels);
  const auto per_channel = [](const torch::Tensor& values) { return values.view({1, -1, 1, 1}); };
  const auto mean = SharedSum::apply(y.sum({0, 2, 3}), weights.sums) / pixels[0];
  const auto centred = y - per_channel(mean);
  const auto variance = SharedSum::apply(centred.square().sum({0, 2, 3}), weights.sums) / pixels[0];
  {
    torch::NoGradGuard no_grad;
    weights.running_mean.lerp_(mean, weights.momentum);
    weights.running_var.lerp_(variance * (pixels[0] / std::max(1.0, pixels[0] - 1)), weights.momentum);
  }
  const auto scale = weights.gamma * torch::rsqrt(variance + weights.epsilon);
  return (centred * per_channel(scale) + per_channel(weights.beta)).to(x.scalar_type());
}

}  // namespace

torch::Tensor conv_norm(const torch::Tensor& x, const ConvNormWeights& weights, const torch::Tensor& shortcut,
                        bool relu) {
  const bool plain = has_passes(x, {weights.weight, weights.gamma, weights.beta, shortcut}) &&
                     weights.gamma.scalar_type() == torch::kFloat32 &&
                     (!shortcut.defined() || shortcut.scalar_type() == x.scalar_type());
  if (!plain) return conv_norm_reference(x, weights, shortcut, relu);
  std::optional<torch::Tensor> dense;
  if (shortcut.defined()) dense = shortcut.contiguous(torch::MemoryFormat::ChannelsLast);
  return FusedConvNorm::apply(x, weights.weight, weights.gamma, weights.beta, dense, weights, relu);
}

torch::Tensor conv_norm_reference(const torch::Tensor& x, const ConvNormWeights& weights, const torch::Tensor& shortcut,
                                  bool relu) {
  auto y = at::conv2d(x, weights.weight.to(x.scalar_type()), {}, {weights.stride, weights.stride},
                      padding_of(weights.weight));
  y = weights.sums ? shared_batch_norm(y, weights)
                   : at::batch_norm(y, weights.gamma, weights.beta, weights.running_mean, weights.running_var,
                                    /*training=*/true, weights.momentum, weights.epsilon, /*cudnn_enabled=*/true);
  if (shortcut.defined()) y = y + shortcut;
  return relu ? at::relu(y) : y;
}

}  // namespace mfi
