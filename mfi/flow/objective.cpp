#include "mfi/flow/objective.h"

#include <map>

#include "mfi/core/error.h"
#include "mfi/flow/path.h"
#include "mfi/flow/shape_text.h"
#include "mfi/flow/squared_error.h"
#include "mfi/flow/time_schedule.h"
#include "mfi/flow/velocity_field.h"
#include "mfi/ops/path_ops.h"

namespace mfi {
namespace {

constexpr double kAdaptiveOffset = 1e-3;

// The batch's mean of w * e for mean squares [N]; scale is the mean square of z0.
torch::Tensor relative(const torch::Tensor& mean_squares, const torch::Tensor& scale, double power) {
  const auto error = mean_squares / scale;
  if (power == 0) return error.mean();
  return (error * (error.detach() + kAdaptiveOffset).pow(-power)).mean();
}

torch::Tensor relative_error(const torch::Tensor& difference, const torch::Tensor& scale, double power) {
  return relative(mean_square_per_sample(difference), scale, power);
}

// The mean square of u(z_t, r, t) - mean_velocity_target(...), in which v = z1 - z0, on random times.
torch::Tensor meanflow_term(const FlowStage& stage, const torch::Tensor& z0, const torch::Tensor& z1,
                            const torch::Tensor& scale, const ObjectiveSettings& settings, RandomStream& random,
                            const std::optional<WholeBatch>& whole) {
  const TimeSchedule schedule{settings.time_mean, settings.time_stddev, settings.r_equals_t};
  torch::Tensor sum;
  const auto intervals = stage.module_intervals();
  for (size_t module = 0; module < intervals.size(); ++module) {
    const auto times = schedule.draw(whole ? whole->samples : z0.size(0), intervals[module], random,
                                     whole ? whole->share : BatchShare{});
    const auto r = times.r.to(z0.device()), t = times.t.to(z0.device());
    const auto z = path_point(z0, z1, t);
    const NetworkField u(*stage.velocities()[module]);
    // Only the first samples have r < t, and so a derivative in their target.
    const auto head = [&](const torch::Tensor& x) { return x.detach().narrow(0, 0, times.distinct); };
    const auto derivative =
        times.distinct > 0 ? u.total_derivative(head(z), head(z1) - head(z0), head(r), head(t)) : head(z);
    const auto velocity_end = settings.gradient_through_velocity ? z1 : z1.detach();
    const auto error =
        relative(velocity_error(u(z, r, t), z0, velocity_end, derivative, head(t) - head(r)), scale, settings.power);
    sum = sum.defined() ? sum + error : error;
  }
  return sum / static_cast<double>(stage.arch().modules);
}

void require_output_shape(const torch::Tensor& z0, const torch::Tensor& z, const std::string& what) {
  if (!z0.sizes().equals(z.sizes()))
    throw ShapeError("mapping: the target is " + shape_text(z0) + ", " + what + " " + shape_text(z) +
                     "; both must have the same shape");
}

torch::Tensor scale_of(const torch::Tensor& z0, const std::optional<WholeBatch>& whole) {
  return whole ? whole->mean_square : mean_square_per_sample(z0).mean();
}

}  // namespace

ObjectiveValue mapping_objective(const FlowStage& stage, const torch::Tensor& x, const torch::Tensor& z0,
                                 const ObjectiveSettings& settings, RandomStream random,
                                 const std::optional<WholeBatch>& whole, bool with_output) {
  const auto z1 = stage.align(x);
  require_output_shape(z0, z1, "the stage's aligned input");
  const auto scale = scale_of(z0, whole);

  ObjectiveValue value;
  const auto add = [&value](double weight, const torch::Tensor& term) {
    const auto weighted = term * weight;
    value.loss = value.loss.defined() ? value.loss + weighted : weighted;
    return term.detach();
  };

  if (settings.meanflow != 0)
    value.meanflow = add(settings.meanflow, meanflow_term(stage, z0, z1, scale, settings, random, whole));
  if (settings.alignment != 0)
    value.alignment = add(settings.alignment, relative_error(path_velocity(z0, z1), scale, settings.power));

  // Terms share what they have in common: z0 in so many steps, and its distance from the target.
  struct Endpoint {
    torch::Tensor z0, difference;
  };
  std::map<int64_t, Endpoint> endpoints;
  const auto endpoint = [&](int64_t steps) {
    auto& at = endpoints[steps == 0 ? stage.arch().steps : steps];
    if (!at.z0.defined()) at.z0 = stage.integrate(z1, steps == 0 ? stage.arch().steps : steps);
    return &at;
  };
  const auto difference = [&](int64_t steps) {
    auto* at = endpoint(steps);
    if (!at->difference.defined()) at->difference = at->z0 - z0;
    return at->difference;
  };
  if (settings.endpoint != 0) {
    torch::Tensor sum;
    for (const auto steps : settings.endpoint_steps) {
      const auto error = relative_error(difference(steps), scale, settings.power);
      sum = sum.defined() ? sum + error : error;
    }
    value.endpoint = add(settings.endpoint, sum / static_cast<double>(settings.endpoint_steps.size()));
  }
  if (settings.regression != 0) value.regression = add(settings.regression, relative_error(difference(0), scale, 0));
  if (with_output) value.output = endpoint(0)->z0;
  if (!value.loss.defined()) throw RecipeError("objective: all four weights are 0, expected at least one above");
  return value;
}

torch::Tensor regression_loss(const torch::Tensor& output, const torch::Tensor& z0,
                              const std::optional<WholeBatch>& whole) {
  require_output_shape(z0, output, "the stage's output");
  return relative_error(output - z0, scale_of(z0, whole), 0);
}

}  // namespace mfi
