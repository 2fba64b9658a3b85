#include "mfi/data/augment.h"

#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "mfi/core/error.h"

namespace mfi {
namespace {

constexpr Normalisation kSome{{0.5f, 0.25f, 0.125f}, {0.25f, 0.5f, 2.0f}};

torch::Tensor numbered_image(int64_t height, int64_t width) {
  return (torch::arange(3 * height * width) * 37 % 256).to(torch::kUInt8).view({3, height, width});
}

/// One view through PixelWriter, as float32 [3, H, W].
torch::Tensor view_of(const torch::Tensor& image, const View& view, torch::Dtype dtype = torch::kFloat32) {
  const int64_t height = image.size(1), width = image.size(2);
  auto out = torch::empty({height, width, 3}, dtype);
  PixelWriter(kSome, dtype).write(image.const_data_ptr<uint8_t>(), height, width, view, out.data_ptr());
  return out.permute({2, 0, 1}).to(torch::kFloat32);
}

/// The same with LibTorch's operators: pad with black, cut out, mirror, normalise.
torch::Tensor expected_view(const torch::Tensor& image, const View& view) {
  const int64_t p = kCropPadding;
  auto padded = torch::constant_pad_nd(image, {p, p, p, p}, 0);
  auto window = padded.slice(1, p + view.down, p + view.down + image.size(1))
                    .slice(2, p + view.right, p + view.right + image.size(2));
  if (view.flip) window = window.flip(2);
  const auto mean = torch::tensor({0.5f, 0.25f, 0.125f}).view({3, 1, 1});
  const auto stddev = torch::tensor({0.25f, 0.5f, 2.0f}).view({3, 1, 1});
  return (window.to(torch::kFloat32) / 255 - mean) / stddev;
}

TEST(PixelWriter, EqualsPadCropFlipNormaliseForEveryView) {
  const auto image = numbered_image(9, 7);
  for (int down = -4; down <= 4; ++down)
    for (int right = -4; right <= 4; ++right)
      for (const bool flip : {false, true}) {
        const View view{down, right, flip};
        EXPECT_TRUE(torch::equal(view_of(image, view), expected_view(image, view)))
            << "down " << down << " right " << right << " flip " << flip;
      }
}

TEST(PixelWriter, WorksOnImagesNarrowerThanTheShift) {
  const auto image = numbered_image(2, 3);
  for (const View view : {View{4, 4, false}, View{-4, -4, true}, View{0, 3, true}})
    EXPECT_TRUE(torch::equal(view_of(image, view), expected_view(image, view)));
}

// Black before the normalisation, as in torchvision's usual order, and not the mean.
TEST(PixelWriter, FillsWithBlackOutsideTheImage) {
  const auto out = view_of(numbered_image(8, 8), View{-4, 0, false});
  EXPECT_FLOAT_EQ(out[0][0][0].item<float>(), -0.5f / 0.25f);
  EXPECT_FLOAT_EQ(out[2][3][7].item<float>(), -0.125f / 2.0f);
}

TEST(PixelWriter, RoundsToBfloat16AsLibTorchDoes) {
  const auto image = numbered_image(16, 16);
  const View view{1, -2, true};
  const auto expected = expected_view(image, view).to(torch::kBFloat16).to(torch::kFloat32);
  EXPECT_TRUE(torch::equal(view_of(image, view, torch::kBFloat16), expected));
}

TEST(PixelWriter, RefusesOtherTypes) { EXPECT_THROW(PixelWriter(kSome, torch::kFloat64), ShapeError); }

TEST(RandomView, DependsOnSeedEpochAndIndexOnly) {
  const auto same = [](const View& a, const View& b) {
    return std::tie(a.down, a.right, a.flip) == std::tie(b.down, b.right, b.flip);
  };
  EXPECT_TRUE(same(random_view(1, 2, 3), random_view(1, 2, 3)));
  // Of 50 samples some must differ when one of the three does.
  int seed = 0, epoch = 0, index = 0;
  for (int64_t i = 0; i < 50; ++i) {
    seed += !same(random_view(1, 2, i), random_view(2, 2, i));
    epoch += !same(random_view(1, 2, i), random_view(1, 3, i));
    index += !same(random_view(1, 2, i), random_view(1, 2, i + 1));
  }
  EXPECT_GT(seed, 40);
  EXPECT_GT(epoch, 40);
  EXPECT_GT(index, 40);
}

TEST(RandomView, DrawsEveryShiftAndBothSides) {
  std::set<std::tuple<int, int, bool>> views;
  for (int64_t i = 0; i < 5000; ++i) {
    const View view = random_view(7, 0, i);
    ASSERT_LE(std::abs(view.down), kCropPadding);
    ASSERT_LE(std::abs(view.right), kCropPadding);
    views.insert({view.down, view.right, view.flip});
  }
  EXPECT_EQ(views.size(), 9u * 9u * 2u);
}

TEST(AlternatingFlip, ShowsEachImageTheOtherWayRoundInTheNextEpoch) {
  int mirrored = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    const bool first = random_view(7, 0, i, Flip::alternating).flip;
    mirrored += first;
    for (int64_t epoch = 1; epoch < 5; ++epoch)
      ASSERT_EQ(random_view(7, epoch, i, Flip::alternating).flip, first != (epoch % 2 == 1)) << epoch << " " << i;
    // The shift is what it would be.
    const auto a = random_view(7, 3, i), b = random_view(7, 3, i, Flip::alternating);
    ASSERT_EQ(std::tie(a.down, a.right), std::tie(b.down, b.right));
  }
  EXPECT_NEAR(mirrored, 500, 80) << "five standard deviations";
}

TEST(Normalise, GivesChannelsLastBatches) {
  const auto images = (torch::arange(4 * 3 * 5 * 6) % 251).to(torch::kUInt8).view({4, 3, 5, 6});
  const auto out = normalise(images, kSome, torch::kFloat32);
  EXPECT_EQ(out.sizes(), images.sizes());
  EXPECT_TRUE(out.is_contiguous(torch::MemoryFormat::ChannelsLast));
  for (int64_t i = 0; i < 4; ++i) EXPECT_TRUE(torch::equal(out[i], expected_view(images[i], View{})));
}

TEST(Normalise, RefusesImagesOfAnotherKind) {
  EXPECT_THROW(normalise(torch::zeros({4, 3, 5, 6}), kSome, torch::kFloat32), ShapeError);
  EXPECT_THROW(normalise(torch::zeros({4, 1, 5, 6}, torch::kUInt8), kSome, torch::kFloat32), ShapeError);
}

}  // namespace
}  // namespace mfi
