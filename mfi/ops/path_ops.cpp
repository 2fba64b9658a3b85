#include "mfi/ops/path_ops.h"

#include "mfi/ops/parallel.h"
#include "mfi/ops/sample_passes.h"
#include "mfi/ops/tensor_access.h"

namespace mfi {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

torch::Tensor dense(const torch::Tensor& t) { return t.contiguous(torch::MemoryFormat::ChannelsLast); }

int64_t values_of_a_sample(const torch::Tensor& t) { return t.size(1) * t.size(2) * t.size(3); }

// [N] as [N, 1, ...] of z's type.
torch::Tensor beside(const torch::Tensor& numbers, const torch::Tensor& z) {
  std::vector<int64_t> shape(static_cast<size_t>(z.dim()), 1);
  shape[0] = numbers.size(0);
  return numbers.to(z.options().requires_grad(false)).view(shape);
}

// factors[n] * x[n], and the negative too where it is asked for.
struct Scaled {
  torch::Tensor out, negative;
};
Scaled scale_samples(const torch::Tensor& x, const torch::Tensor& factors, bool negative) {
  Scaled result{torch::empty_like(x), negative ? torch::empty_like(x) : torch::Tensor()};
  const int64_t values = values_of_a_sample(x);
  with_element(x.scalar_type(), [&]<class T>(T) {
    for_each_parallel(x.size(0), [&](int64_t n) {
      scale(data<T>(x) + n * values, data<float>(factors)[n], values, mutable_data<T>(result.out) + n * values,
            at_value(mutable_data<T>(result.negative), n * values));
    });
  });
  return result;
}

class Interpolate : public torch::autograd::Function<Interpolate> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& z1, const torch::Tensor& z0,
                               const torch::Tensor& t) {
    auto out = torch::empty_like(z1);
    const int64_t values = values_of_a_sample(z1);
    with_element(z1.scalar_type(), [&]<class T>(T) {
      for_each_parallel(z1.size(0), [&](int64_t n) {
        interpolate(data<T>(z0) + n * values, data<T>(z1) + n * values, data<float>(t)[n], values,
                    mutable_data<T>(out) + n * values);
      });
    });
    context->save_for_backward({t});
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_double_backward("interpolate_samples");
    return {scale_samples(dense(gradients[0]), context->get_saved_variables()[0], false).out, {}, {}};
  }
};

class VelocityError : public torch::autograd::Function<VelocityError> {
 public:
  static torch::Tensor forward(AutogradContext* context, const torch::Tensor& u, const torch::Tensor& z1,
                               const torch::Tensor& z0, const torch::Tensor& derivative, const torch::Tensor& step) {
    auto difference = torch::empty_like(u), out = torch::empty({u.size(0)}, torch::kFloat32);
    const int64_t values = values_of_a_sample(u), with_derivative = derivative.size(0);
    with_element(u.scalar_type(), [&]<class T>(T) {
      for_each_parallel(u.size(0), [&](int64_t n) {
        const int64_t begin = n * values;
        const bool has = n < with_derivative;
        const double sum = velocity_difference(
            data<T>(u) + begin, data<T>(z0) + begin, data<T>(z1) + begin, has ? data<T>(derivative) + begin : nullptr,
            has ? data<float>(step)[n] : 0, values, mutable_data<T>(difference) + begin);
        mutable_data<float>(out)[n] = static_cast<float>(sum / static_cast<double>(values));
      });
    });
    context->save_for_backward({difference});
    return out;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    refuse_double_backward("velocity_error");
    const auto difference = context->get_saved_variables()[0];
    const auto factors =
        (gradients[0] * (2 / static_cast<double>(values_of_a_sample(difference)))).to(torch::kFloat32).contiguous();
    const auto scaled = scale_samples(difference, factors, context->needs_input_grad(1));
    return {scaled.out, scaled.negative, {}, {}, {}};
  }
};

// Whether features are such as the passes read: [N, C, H, W] of one type, z0 a constant.
bool have_passes(const torch::Tensor& z0, const torch::Tensor& z1, const torch::Tensor& other) {
  return has_passes(z1, {z0, other}) && z1.dim() == 4 && z0.scalar_type() == z1.scalar_type() && !z0.requires_grad();
}

}  // namespace

torch::Tensor interpolate_samples(const torch::Tensor& z0, const torch::Tensor& z1, const torch::Tensor& t) {
  if (!have_passes(z0, z1, t)) return interpolate_samples_reference(z0, z1, t);
  return Interpolate::apply(dense(z1), dense(z0), t.to(torch::kFloat32).contiguous());
}

torch::Tensor velocity_error(const torch::Tensor& u, const torch::Tensor& z0, const torch::Tensor& z1,
                             const torch::Tensor& derivative, const torch::Tensor& step) {
  const auto type = z1.scalar_type();
  if (!have_passes(z0, z1, u) || u.scalar_type() != type || derivative.scalar_type() != type)
    return velocity_error_reference(u, z0, z1, derivative, step);
  return VelocityError::apply(dense(u), dense(z1), dense(z0), dense(derivative), step.to(torch::kFloat32).contiguous());
}

torch::Tensor interpolate_samples_reference(const torch::Tensor& z0, const torch::Tensor& z1, const torch::Tensor& t) {
  return at::lerp(z0, z1, beside(t, z0));
}

torch::Tensor velocity_error_reference(const torch::Tensor& u, const torch::Tensor& z0, const torch::Tensor& z1,
                                       const torch::Tensor& derivative, const torch::Tensor& step) {
  auto target = z1 - z0;
  const int64_t count = derivative.size(0);
  if (count > 0)
    target = torch::cat({target.narrow(0, 0, count) - beside(step, derivative) * derivative,
                         target.narrow(0, count, target.size(0) - count)});
  const auto type = u.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
  return (u - target).to(type).square().mean({1, 2, 3});
}

}  // namespace mfi
