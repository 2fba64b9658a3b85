// Pictures of any size, each made a square when it is asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mfi/core/random.h"
#include "mfi/data/picture_list.h"
#include "mfi/formats/file_tree.h"
#include "mfi/formats/resize.h"

namespace mfi {

/// How a picture becomes a square of bytes.
struct PictureView {
  int64_t side = 224;  // pixels
  ResizeFilter filter = ResizeFilter::bicubic;
  double crop = 1;            // of evaluation: share of the shorter side that is kept
  bool random_parts = false;  // of training: a random part of the picture, not the evaluation's square
  double least_area = 0.08;   // of a random part, as a share of the picture's
};

/// Pictures by number. All of it is safe from several threads.
class Pictures {
 public:
  explicit Pictures(const PictureView& view) : view_(view) {}
  virtual ~Pictures() = default;

  virtual int64_t size() const = 0;
  const PictureView& view() const { return view_; }

  /// The whole picture, upright.
  RgbImage whole(int64_t index) const { return open(index).decode(1); }

  /// Picture `index` as evaluation sees it: 3 x side x side bytes, three planes. What can be wrong with a file is
  /// thrown: NotFoundError, IoError, DataError naming it.
  void write(int64_t index, uint8_t* planes) const;

  /// A part of it, drawn from the stream and resized to side x side: "random resized crop" (random_part). A JPEG is
  /// decoded at 1/2, 1/4 or 1/8 where the part still has more pixels than are asked for.
  void write_random_part(int64_t index, RandomStream& stream, uint8_t* planes) const;

 protected:
  struct Opened {
    int64_t width = 0, height = 0;                      // of the upright picture
    std::function<RgbImage(int64_t reduction)> decode;  // may give a picture smaller by 1, ..., reduction
  };
  virtual Opened open(int64_t index) const = 0;
  /// For pictures that are other pictures in another order.
  static Opened open(const Pictures& pictures, int64_t index) { return pictures.open(index); }

 private:
  PictureView view_;
};

/// A part whose share of the area is uniform in [least_area, 1], whose ratio of width to height is log-uniform in
/// [3/4, 4/3], and whose place is uniform; after ten draws that do not fit, the middle with the nearest ratio (Szegedy
/// et al., 2015, arXiv:1409.4842; the details as torchvision's RandomResizedCrop).
Crop random_part(int64_t width, int64_t height, double least_area, RandomStream& stream);

/// Pictures as their files hold them: decoded each time.
std::shared_ptr<const Pictures> pictures_in_files(std::shared_ptr<const FileTree> tree, const std::string& place,
                                                  const std::vector<LabelledPicture>& list, const PictureView& view);

/// Those of `first` and then those of `second`, as `first` looks at its own.
std::shared_ptr<const Pictures> joined_pictures(std::shared_ptr<const Pictures> first,
                                                std::shared_ptr<const Pictures> second);

/// Those at `indices`, in that order.
std::shared_ptr<const Pictures> picked_pictures(std::shared_ptr<const Pictures> all, std::vector<int64_t> indices);

}  // namespace mfi
