#include "mfi/data/augment.h"

#include <algorithm>

#include "mfi/core/error.h"
#include "mfi/core/random.h"

namespace mfi {

namespace {

template <class Value>
void write_pixels(const std::array<std::array<Value, 256>, 3>& table, const uint8_t* image, int64_t height,
                  int64_t width, const View& view, Value* out) {
  const int64_t plane = height * width;
  const Value black[3] = {table[0][0], table[1][0], table[2][0]};
  // Output columns [from, to) of the unflipped window lie inside the image.
  const int64_t from = std::clamp<int64_t>(-view.right, 0, width),
                to = std::clamp<int64_t>(width - view.right, from, width);
  const int64_t step = view.flip ? -3 : 3;
  for (int64_t y = 0; y < height; ++y, out += 3 * width) {
    const int64_t source_y = y + view.down;
    const bool inside = source_y >= 0 && source_y < height;
    Value* next = view.flip ? out + 3 * (width - 1) : out;
    const auto fill_black = [&](int64_t count) {
      for (int64_t x = 0; x < count; ++x, next += step) {
        next[0] = black[0];
        next[1] = black[1];
        next[2] = black[2];
      }
    };
    if (!inside) {
      fill_black(width);
      continue;
    }
    fill_black(from);
    const uint8_t* red = image + source_y * width + view.right + from;
    const uint8_t* green = red + plane;
    const uint8_t* blue = green + plane;
    for (int64_t x = 0; x < to - from; ++x, next += step) {
      next[0] = table[0][red[x]];
      next[1] = table[1][green[x]];
      next[2] = table[2][blue[x]];
    }
    fill_black(width - to);
  }
}

}  // namespace

View random_view(uint64_t seed, int64_t epoch, int64_t index, Flip flip) {
  RandomStream stream(seed, static_cast<uint64_t>(epoch), static_cast<uint64_t>(index));
  View view;
  view.down = static_cast<int>(stream.below(2 * kCropPadding + 1)) - kCropPadding;
  view.right = static_cast<int>(stream.below(2 * kCropPadding + 1)) - kCropPadding;
  view.flip = stream.below(2) == 1;
  if (flip == Flip::alternating && epoch > 0) view.flip = random_view(seed, 0, index).flip != (epoch % 2 == 1);
  return view;
}

PixelWriter::PixelWriter(const Normalisation& normalisation, torch::Dtype dtype) : dtype_(dtype) {
  if (dtype != torch::kFloat32 && dtype != torch::kBFloat16)
    throw ShapeError(std::string("PixelWriter: dtype is ") + c10::toString(dtype) + ", expected float32 or bfloat16");
  for (size_t c = 0; c < 3; ++c)
    for (int byte = 0; byte < 256; ++byte) {
      const float value = (static_cast<float>(byte) / 255.0f - normalisation.mean[c]) / normalisation.stddev[c];
      float32_[c][byte] = value;
      bfloat16_[c][byte] = c10::BFloat16(value).x;
    }
}

void PixelWriter::write(const uint8_t* image, int64_t height, int64_t width, const View& view, void* out) const {
  if (dtype_ == torch::kFloat32)
    write_pixels(float32_, image, height, width, view, static_cast<float*>(out));
  else
    write_pixels(bfloat16_, image, height, width, view, static_cast<uint16_t*>(out));
}

torch::Tensor normalise(const torch::Tensor& images, const Normalisation& normalisation, torch::Dtype dtype) {
  if (images.dim() != 4 || images.size(1) != 3 || images.scalar_type() != torch::kUInt8 || !images.is_contiguous())
    throw ShapeError("normalise: images are " + std::string(c10::toString(images.scalar_type())) + " " +
                     c10::str(images.sizes()) + ", expected contiguous bytes [N, 3, H, W]");
  const PixelWriter writer(normalisation, dtype);
  auto out = torch::empty(images.sizes(),
                          torch::TensorOptions().dtype(dtype).memory_format(torch::MemoryFormat::ChannelsLast));
  const int64_t values = images.size(1) * images.size(2) * images.size(3);
  for (int64_t i = 0; i < images.size(0); ++i)
    writer.write(images.const_data_ptr<uint8_t>() + i * values, images.size(2), images.size(3), View{},
                 static_cast<char*>(out.data_ptr()) + i * values * out.element_size());
  return out;
}

}  // namespace mfi
