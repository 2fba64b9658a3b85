#include "mfi/flow/squared_error.h"

#include "mfi/flow/path.h"

namespace mfi {
namespace {

class MeanSquare : public torch::autograd::Function<MeanSquare> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context, const torch::Tensor& difference) {
    context->save_for_backward({difference});
    std::vector<int64_t> dims;
    for (int64_t d = 1; d < difference.dim(); ++d) dims.push_back(d);
    const auto type = difference.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
    const auto norm = at::linalg_vector_norm(difference, 2, dims, /*keepdim=*/false, type);
    return norm.square_().div_(elements(difference));
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto difference = context->get_saved_variables()[0];
    return {difference * per_sample(gradients[0] * (2 / elements(difference)), difference)};
  }

 private:
  static double elements(const torch::Tensor& difference) {
    return static_cast<double>(difference.numel() / std::max<int64_t>(difference.size(0), 1));
  }
};

}  // namespace

torch::Tensor mean_square_per_sample(const torch::Tensor& difference) { return MeanSquare::apply(difference); }

}  // namespace mfi
