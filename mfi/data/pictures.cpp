#include "mfi/data/pictures.h"

#include <algorithm>
#include <cmath>

#include "mfi/formats/picture.h"

namespace mfi {

void Pictures::write(int64_t index, uint8_t* planes) const {
  write_planes(fitted(whole(index), view_.side, view_.crop, view_.filter), planes);
}

void Pictures::write_random_part(int64_t index, RandomStream& stream, uint8_t* planes) const {
  const auto opened = open(index);
  auto part = random_part(opened.width, opened.height, view_.least_area, stream);
  const auto image = opened.decode(std::max<int64_t>(1, std::min(part.width, part.height) / view_.side));
  // In the picture as decoded; both sides were reduced alike, up to the last pixel.
  const auto scaled = [](int64_t value, int64_t from, int64_t to) {
    return int64_t{std::llround(static_cast<double>(value) * static_cast<double>(to) / static_cast<double>(from))};
  };
  part.left = std::min(scaled(part.left, opened.width, image.width), image.width - 1);
  part.top = std::min(scaled(part.top, opened.height, image.height), image.height - 1);
  part.width = std::clamp<int64_t>(scaled(part.width, opened.width, image.width), 1, image.width - part.left);
  part.height = std::clamp<int64_t>(scaled(part.height, opened.height, image.height), 1, image.height - part.top);
  write_planes(resized(image, part, view_.side, view_.side, view_.filter), planes);
}

Crop random_part(int64_t width, int64_t height, double least_area, RandomStream& stream) {
  constexpr int kDraws = 10;
  constexpr double kNarrow = 3.0 / 4, kWide = 4.0 / 3;
  const auto w = static_cast<double>(width), h = static_cast<double>(height);
  for (int draw = 0; draw < kDraws; ++draw) {
    const double area = w * h * (least_area + (1 - least_area) * stream.uniform());
    const double ratio = std::exp(std::log(kNarrow) + (std::log(kWide) - std::log(kNarrow)) * stream.uniform());
    const auto part_width = std::llround(std::sqrt(area * ratio)), part_height = std::llround(std::sqrt(area / ratio));
    if (part_width < 1 || part_height < 1 || part_width > width || part_height > height) continue;
    Crop part{0, 0, part_width, part_height};
    part.top = static_cast<int64_t>(stream.below(static_cast<uint64_t>(height - part_height + 1)));
    part.left = static_cast<int64_t>(stream.below(static_cast<uint64_t>(width - part_width + 1)));
    return part;
  }
  Crop part{0, 0, width, height};
  if (w / h < kNarrow) part.height = std::clamp<int64_t>(std::llround(w / kNarrow), 1, height);
  if (w / h > kWide) part.width = std::clamp<int64_t>(std::llround(h * kWide), 1, width);
  part.left = (width - part.width) / 2;
  part.top = (height - part.height) / 2;
  return part;
}

namespace {

class PictureFiles : public Pictures {
 public:
  PictureFiles(std::shared_ptr<const FileTree> tree, const std::string& place, const std::vector<LabelledPicture>& list,
               const PictureView& view)
      : Pictures(view), tree_(std::move(tree)), place_(place) {
    for (const auto& picture : list) files_.push_back(picture.file);
  }

  int64_t size() const override { return static_cast<int64_t>(files_.size()); }

 protected:
  Opened open(int64_t index) const override {
    const auto file = files_.at(static_cast<size_t>(index));
    const auto name = place_ + "/" + tree_->names()[file];
    const auto bytes = std::make_shared<const std::string>(tree_->read(file));
    const auto info = picture_info(*bytes, name);
    const bool turned = info.orientation >= 5;
    return {turned ? info.height : info.width, turned ? info.width : info.height,
            [bytes, name](int64_t reduction) { return decode_picture(*bytes, name, reduction); }};
  }

 private:
  std::shared_ptr<const FileTree> tree_;
  std::string place_;
  std::vector<size_t> files_;
};

}  // namespace

std::shared_ptr<const Pictures> pictures_in_files(std::shared_ptr<const FileTree> tree, const std::string& place,
                                                  const std::vector<LabelledPicture>& list, const PictureView& view) {
  return std::make_shared<PictureFiles>(std::move(tree), place, list, view);
}

namespace {

class PickedPictures : public Pictures {
 public:
  PickedPictures(std::shared_ptr<const Pictures> all, std::vector<int64_t> indices)
      : Pictures(all->view()), all_(std::move(all)), indices_(std::move(indices)) {}

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }

 protected:
  Opened open(int64_t index) const override { return Pictures::open(*all_, indices_.at(static_cast<size_t>(index))); }

 private:
  std::shared_ptr<const Pictures> all_;
  std::vector<int64_t> indices_;
};

}  // namespace

namespace {

class JoinedPictures : public Pictures {
 public:
  JoinedPictures(std::shared_ptr<const Pictures> first, std::shared_ptr<const Pictures> second)
      : Pictures(first->view()), first_(std::move(first)), second_(std::move(second)) {}

  int64_t size() const override { return first_->size() + second_->size(); }

 protected:
  Opened open(int64_t index) const override {
    const int64_t before = first_->size();
    return index < before ? Pictures::open(*first_, index) : Pictures::open(*second_, index - before);
  }

 private:
  std::shared_ptr<const Pictures> first_, second_;
};

}  // namespace

std::shared_ptr<const Pictures> joined_pictures(std::shared_ptr<const Pictures> first,
                                                std::shared_ptr<const Pictures> second) {
  return std::make_shared<JoinedPictures>(std::move(first), std::move(second));
}

std::shared_ptr<const Pictures> picked_pictures(std::shared_ptr<const Pictures> all, std::vector<int64_t> indices) {
  return std::make_shared<PickedPictures>(std::move(all), std::move(indices));
}

}  // namespace mfi
