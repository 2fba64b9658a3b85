#include "mfi/formats/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "mfi/core/error.h"

namespace mfi {
namespace {

constexpr int kFixedBits = 22;  // of 32: 8 for the values, 2 for weights beyond 1 and their sign

double bilinear(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

double bicubic(double x) {  // Keys, a = -1/2
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// For each result along one axis: from which value on, and the values' weights.
struct Weights {
  std::vector<int64_t> first, count;
  std::vector<int32_t> weights;  // [results][widest]
  int64_t widest = 0;
};

// Results [begin, begin + results) of `to`.
Weights weights_for(int64_t from, int64_t to, int64_t begin, int64_t results, ResizeFilter filter) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double stretch = std::max(scale, 1.0), support = (filter == ResizeFilter::bilinear ? 1 : 2) * stretch;
  Weights out;
  out.widest = static_cast<int64_t>(std::ceil(support)) * 2 + 1;
  out.weights.resize(static_cast<size_t>(results * out.widest));
  std::vector<double> exact(static_cast<size_t>(out.widest));
  for (int64_t i = 0; i < results; ++i) {
    const double centre = (static_cast<double>(begin + i) + 0.5) * scale;
    const int64_t first = std::max<int64_t>(static_cast<int64_t>(centre - support + 0.5), 0);
    const int64_t end = std::min<int64_t>(static_cast<int64_t>(centre + support + 0.5), from);
    double sum = 0;
    for (int64_t k = first; k < end; ++k) {
      const double x = (static_cast<double>(k) - centre + 0.5) * (1.0 / stretch);
      const double weight = filter == ResizeFilter::bilinear ? bilinear(x) : bicubic(x);
      exact[static_cast<size_t>(k - first)] = weight;
      sum += weight;
    }
    for (int64_t k = 0; k < end - first; ++k) {
      auto weight = exact[static_cast<size_t>(k)];
      if (sum != 0) weight *= 1.0 / sum;
      const double fixed = weight * (1 << kFixedBits);
      out.weights[static_cast<size_t>(i * out.widest + k)] =
          static_cast<int32_t>(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
    out.first.push_back(first);
    out.count.push_back(end - first);
  }
  return out;
}

uint8_t to_byte(int32_t sum) { return static_cast<uint8_t>(std::clamp(sum >> kFixedBits, 0, 255)); }

constexpr int32_t kHalf = 1 << (kFixedBits - 1);

// Rows [first, end) of the part, each resized to the weights' number of pixels.
RgbImage along_rows(const RgbImage& image, const Crop& part, const Weights& weights, int64_t first, int64_t end) {
  RgbImage out;
  out.width = static_cast<int64_t>(weights.first.size());
  out.height = end - first;
  out.pixels.resize(static_cast<size_t>(out.width * out.height * 3));
  for (int64_t y = 0; y < out.height; ++y) {
    const uint8_t* row = image.pixels.data() + ((part.top + first + y) * image.width + part.left) * 3;
    uint8_t* to = out.pixels.data() + y * out.width * 3;
    for (int64_t x = 0; x < out.width; ++x, to += 3) {
      const uint8_t* from = row + weights.first[static_cast<size_t>(x)] * 3;
      const int32_t* weight = weights.weights.data() + x * weights.widest;
      int32_t sum[3] = {kHalf, kHalf, kHalf};
      for (int64_t k = 0; k < weights.count[static_cast<size_t>(x)]; ++k, from += 3)
        for (int c = 0; c < 3; ++c) sum[c] += from[c] * weight[k];
      for (int c = 0; c < 3; ++c) to[c] = to_byte(sum[c]);
    }
  }
  return out;
}

// A column's values lie far apart: whole rows are added up instead.
RgbImage along_columns(const RgbImage& image, const Weights& weights, int64_t first_row) {
  RgbImage out;
  out.width = image.width;
  out.height = static_cast<int64_t>(weights.first.size());
  const auto row_bytes = static_cast<size_t>(image.width * 3);
  out.pixels.resize(static_cast<size_t>(out.height) * row_bytes);
  std::vector<int32_t> sums(row_bytes);
  for (int64_t y = 0; y < out.height; ++y) {
    std::fill(sums.begin(), sums.end(), kHalf);
    for (int64_t k = 0; k < weights.count[static_cast<size_t>(y)]; ++k) {
      const uint8_t* from =
          image.pixels.data() + static_cast<size_t>(weights.first[static_cast<size_t>(y)] - first_row + k) * row_bytes;
      const int32_t weight = weights.weights[static_cast<size_t>(y * weights.widest + k)];
      for (size_t i = 0; i < row_bytes; ++i) sums[i] += from[i] * weight;
    }
    uint8_t* to = out.pixels.data() + static_cast<size_t>(y) * row_bytes;
    for (size_t i = 0; i < row_bytes; ++i) to[i] = to_byte(sums[i]);
  }
  return out;
}

RgbImage cut_out(const RgbImage& image, const Crop& part) {
  RgbImage out;
  out.width = part.width;
  out.height = part.height;
  out.pixels.resize(static_cast<size_t>(part.width * part.height * 3));
  for (int64_t y = 0; y < part.height; ++y)
    std::memcpy(out.pixels.data() + y * part.width * 3,
                image.pixels.data() + ((part.top + y) * image.width + part.left) * 3,
                static_cast<size_t>(part.width * 3));
  return out;
}

bool is_within(const Crop& part, int64_t width, int64_t height) {
  return part.left >= 0 && part.top >= 0 && part.width >= 1 && part.height >= 1 && part.left <= width &&
         part.top <= height && part.width <= width - part.left && part.height <= height - part.top;
}

// The part `kept` of what `part` becomes at width x height. Nothing else of that is computed: of a picture of 10,000 x
// 1 pixels the middle is wanted as a square, whose whole would be 10,000 squares.
RgbImage resized_and_cut(const RgbImage& image, const Crop& part, int64_t width, int64_t height, const Crop& kept,
                         ResizeFilter filter) {
  if (!is_within(part, image.width, image.height) || !is_within(kept, width, height))
    throw ShapeError("resized: the part is empty or not within the image");
  const bool horizontal = width != part.width, vertical = height != part.height;
  if (!horizontal && !vertical)
    return cut_out(image, {part.left + kept.left, part.top + kept.top, kept.width, kept.height});
  if (!horizontal) {
    const auto rows = weights_for(part.height, height, kept.top, kept.height, filter);
    return along_columns(cut_out(image, {part.left + kept.left, part.top, kept.width, part.height}), rows, 0);
  }
  const auto columns = weights_for(part.width, width, kept.left, kept.width, filter);
  if (!vertical) return along_rows(image, part, columns, kept.top, kept.top + kept.height);
  const auto rows = weights_for(part.height, height, kept.top, kept.height, filter);
  // Only the rows that the second pass will look at.
  const int64_t first = rows.first.front(), end = rows.first.back() + rows.count.back();
  return along_columns(along_rows(image, part, columns, first, end), rows, first);
}

}  // namespace

RgbImage resized(const RgbImage& image, const Crop& part, int64_t width, int64_t height, ResizeFilter filter) {
  return resized_and_cut(image, part, width, height, {0, 0, width, height}, filter);
}

RgbImage resized_middle(const RgbImage& image, int64_t size, double share, ResizeFilter filter) {
  // Resize(floor(size / share)): the shorter side becomes that, the longer one in proportion, rounded down.
  const auto shorter = static_cast<int64_t>(std::floor(static_cast<double>(size) / share));
  const bool wide = image.width > image.height;
  const int64_t longer = shorter * std::max(image.width, image.height) / std::min(image.width, image.height);
  const int64_t width = wide ? longer : shorter, height = wide ? shorter : longer;
  // CenterCrop rounds half to even, as Python does.
  const auto middle = [](int64_t from, int64_t to) {
    return static_cast<int64_t>(std::nearbyint(static_cast<double>(from - to) / 2));
  };
  return resized_and_cut(image, {0, 0, image.width, image.height}, width, height,
                         {middle(width, size), middle(height, size), size, size}, filter);
}

ResizeFilter resize_filter(const std::string& name) {
  return name == "bilinear" ? ResizeFilter::bilinear : ResizeFilter::bicubic;
}

RgbImage fitted(const RgbImage& image, int64_t size, double share, ResizeFilter filter) {
  if (image.width == size && image.height == size) return image;
  return resized_middle(image, size, share, filter);
}

void write_planes(const RgbImage& image, uint8_t* to) {
  const auto pixels = static_cast<size_t>(image.width * image.height);
  for (size_t c = 0; c < 3; ++c)
    for (size_t p = 0; p < pixels; ++p) *to++ = image.pixels[p * 3 + c];
}

}  // namespace mfi
