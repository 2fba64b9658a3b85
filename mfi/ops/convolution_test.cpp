#include "mfi/ops/convolution.h"

#include <gtest/gtest.h>

#include "mfi/ops/test_difference.h"

namespace mfi {
namespace {

// Against float32 on the same numbers, several times over: what is made from unwritten memory may be right once.
TEST(ConvGradients, OfImagesNarrowerThanTheStrideAgreeWithFloat32) {
  torch::manual_seed(7);
  for (const auto& [in, out] : {std::pair{3, 5}, std::pair{16, 32}, std::pair{64, 128}})
    for (const auto& [height, width] : {std::pair{1, 1}, std::pair{2, 1}, std::pair{1, 2}, std::pair{2, 2}})
      for (const int64_t kernel : {1, 3}) {
        const auto tensor = [](torch::IntArrayRef sizes) {
          return torch::randn(sizes).to(torch::kBFloat16).contiguous(torch::MemoryFormat::ChannelsLast);
        };
        const auto x = tensor({4, in, height, width}), y_gradient = tensor({4, out, (height + 1) / 2, (width + 1) / 2});
        const auto weight = tensor({out, in, kernel, kernel}).to(torch::kFloat32);
        const ConvGrid grid{2};
        const auto reference = conv_gradients(y_gradient.to(torch::kFloat32), x.to(torch::kFloat32), weight, grid,
                                              /*x_wanted=*/true, /*weight_wanted=*/true, {});
        for (int i = 0; i < 5; ++i) {
          const auto found = conv_gradients(y_gradient, x, weight, grid, true, true, {});
          EXPECT_EQ(found.x.scalar_type(), torch::kBFloat16);
          EXPECT_LT(largest_difference(found.x, reference.x), 4e-2) << in << " channels, " << height << "x" << width;
          EXPECT_LT(largest_difference(found.weight, reference.weight), 4e-2)
              << in << " channels, " << height << "x" << width << ", kernel " << kernel;
        }
      }
}

}  // namespace
}  // namespace mfi
