#include "mfi/formats/picture.h"

#include <png.h>
#include <turbojpeg.h>
#include <webp/decode.h>

#include <algorithm>
#include <cctype>
#include <csetjmp>
#include <cstring>
#include <memory>
#include <optional>
#include <vector>

#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

[[noreturn]] void throw_damaged(const std::string& name, const std::string& format, const std::string& reason) {
  throw DataError(name + ": damaged or cut off " + format + " file (" + reason + ")");
}

const unsigned char* data_of(std::string_view bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

RgbImage new_image(int64_t width, int64_t height) {
  RgbImage image;
  image.width = width;
  image.height = height;
  image.pixels.resize(static_cast<size_t>(width * height * 3));
  return image;
}

// Whether the picture takes more than what a file that is damaged may take. Such a file is first decoded without
// keeping its pixels, as far as its format allows: the announced size may be a lie.
bool is_large(const PictureInfo& info, std::string_view bytes) {
  constexpr uint64_t kFree = 32'000'000;
  return static_cast<uint64_t>(info.width * info.height * 3) > kFree + bytes.size();
}

// ---- EXIF ----

// The orientation in a TIFF structure, which is what EXIF holds; 1 where it says none.
int orientation_in_tiff(std::string_view tiff) {
  if (tiff.size() < 8) return 1;
  const bool big = tiff.starts_with("MM");
  if (!big && !tiff.starts_with("II")) return 1;
  const auto byte = [&](size_t at) { return static_cast<uint32_t>(static_cast<unsigned char>(tiff[at])); };
  const auto two = [&](size_t at) { return big ? byte(at) << 8 | byte(at + 1) : byte(at + 1) << 8 | byte(at); };
  const auto four = [&](size_t at) { return big ? two(at) << 16 | two(at + 2) : two(at + 2) << 16 | two(at); };
  const size_t first = four(4);
  if (first > tiff.size() - 2) return 1;
  const size_t entries = two(first);
  constexpr size_t kEntryBytes = 12;
  constexpr uint32_t kOrientation = 0x0112;
  for (size_t i = 0; i < entries; ++i) {
    const size_t at = first + 2 + i * kEntryBytes;
    if (at + kEntryBytes > tiff.size()) return 1;
    if (two(at) != kOrientation) continue;
    const auto value = static_cast<int>(two(at + 8));
    return value >= 1 && value <= 8 ? value : 1;
  }
  return 1;
}

// Of a JPEG: in the segment APP1 that begins with "Exif".
int jpeg_orientation(std::string_view bytes) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  size_t at = 2;  // behind the start of the image
  while (at + 4 <= bytes.size() && static_cast<unsigned char>(bytes[at]) == 0xFF) {
    const auto marker = static_cast<unsigned char>(bytes[at + 1]);
    if (marker == 0xFF) {  // fill
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) return 1;  // pixels follow
    const size_t length =
        static_cast<size_t>(static_cast<unsigned char>(bytes[at + 2])) << 8 | static_cast<unsigned char>(bytes[at + 3]);
    const auto segment = bytes.substr(at + 4, length < 2 ? 0 : length - 2);
    if (marker == 0xE1 && segment.starts_with(kExif)) return orientation_in_tiff(segment.substr(kExif.size()));
    at += 2 + length;
  }
  return 1;
}

// The chunk of a RIFF file (WebP) or PNG; empty where there is none.
std::string_view riff_chunk(std::string_view bytes, std::string_view wanted) {
  size_t at = 12;
  while (at + 8 <= bytes.size()) {
    uint32_t size;
    std::memcpy(&size, bytes.data() + at + 4, sizeof size);
    if (bytes.substr(at, 4) == wanted) return bytes.substr(at + 8, size);
    at += 8 + size_t{size} + (size & 1);
  }
  return {};
}

std::string_view png_chunk(std::string_view bytes, std::string_view wanted) {
  size_t at = 8;
  while (at + 8 <= bytes.size()) {
    uint32_t size;
    std::memcpy(&size, bytes.data() + at, sizeof size);
    size = __builtin_bswap32(size);
    if (bytes.substr(at + 4, 4) == wanted) return bytes.substr(at + 8, size);
    at += 12 + size_t{size};
  }
  return {};
}

int webp_orientation(std::string_view bytes) {
  auto exif = riff_chunk(bytes, "EXIF");
  if (exif.starts_with(std::string_view("Exif\0\0", 6))) exif.remove_prefix(6);
  return orientation_in_tiff(exif);
}

// A pixel of the upright picture at (x, y), from one of `width` x `height` with this orientation.
RgbImage turned(const RgbImage& image, int orientation) {
  const bool swaps = orientation >= 5;
  const int64_t w = image.width, h = image.height;
  auto out = new_image(swaps ? h : w, swaps ? w : h);
  for (int64_t y = 0; y < out.height; ++y)
    for (int64_t x = 0; x < out.width; ++x) {
      int64_t from_x = swaps ? y : x, from_y = swaps ? x : y;
      if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) from_x = w - 1 - from_x;
      if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) from_y = h - 1 - from_y;
      std::memcpy(&out.pixels[static_cast<size_t>((y * out.width + x) * 3)],
                  &image.pixels[static_cast<size_t>((from_y * w + from_x) * 3)], 3);
    }
  return out;
}

// ---- JPEG ----

// Each pass over the pixels of a progressive file takes time, and some hundred bytes of a hostile one.
#ifdef TJFLAG_LIMITSCANS
constexpr int kLimitScans = TJFLAG_LIMITSCANS;
#else
constexpr int kLimitScans = 0;  // libjpeg-turbo before 2.1
#endif

class JpegReader {
 public:
  JpegReader() : handle_(tjInitDecompress(), tjDestroy) {
    if (!handle_) throw Error(ExitCode::internal, "libjpeg-turbo cannot be started");
  }

  struct Header {
    int width = 0, height = 0, subsampling = 0, colours = -1;
  };
  Header header(std::string_view bytes, const std::string& name) {
    Header h;
    if (tjDecompressHeader3(handle_.get(), data_of(bytes), bytes.size(), &h.width, &h.height, &h.subsampling,
                            &h.colours) != 0 &&
        !is_enough(h))
      fail(name);
    return h;
  }

  RgbImage decode(std::string_view bytes, const PictureInfo& info, const std::string& name, int64_t reduction,
                  std::string* doubt) {
    auto h = header(bytes, name);
    if (is_large(info, bytes)) try_out(bytes, h, name);
    const int by = reduction >= 8 ? 8 : reduction >= 4 ? 4 : reduction >= 2 ? 2 : 1;
    h.width = TJSCALED(h.width, (tjscalingfactor{1, by}));
    h.height = TJSCALED(h.height, (tjscalingfactor{1, by}));
    auto image = new_image(h.width, h.height);
    if (h.colours == TJCS_CMYK || h.colours == TJCS_YCCK) {
      std::vector<unsigned char> cmyk(static_cast<size_t>(h.width) * static_cast<size_t>(h.height) * 4);
      decompress(bytes, name, cmyk.data(), h.width, h.height, TJPF_CMYK, doubt);
      // Inverted inks: 255 is none.
      for (size_t i = 0; i < cmyk.size() / 4; ++i)
        for (size_t c = 0; c < 3; ++c) image.pixels[i * 3 + c] = divided_by_255(cmyk[i * 4 + c] * cmyk[i * 4 + 3]);
    } else {
      decompress(bytes, name, image.pixels.data(), h.width, h.height, TJPF_RGB, doubt);
    }
    return image;
  }

 private:
  // With a subsampling that has no name the header is there and the decoder goes on. After a warning it would too, but
  // tell of no other one, and so of no damage.
  bool is_enough(const Header& h) const {
    return std::string_view(tjGetErrorStr2(handle_.get())).find("subsampling") != std::string_view::npos &&
           h.width > 0 && h.height > 0 && h.colours >= 0;
  }

  // A decoder that failed within a header would take the next file for the rest of it.
  [[noreturn]] void fail(const std::string& name) {
    const std::string problem = tjGetErrorStr2(handle_.get());
    handle_.reset(tjInitDecompress());
    if (!handle_) throw Error(ExitCode::internal, "libjpeg-turbo cannot be started");
    throw_damaged(name, "JPEG", problem);
  }

  // The mark of the end; an earlier half may hold that of a small picture of it.
  static bool has_end(std::string_view bytes) {
    return bytes.substr(bytes.size() / 2).rfind("\xFF\xD9") != std::string_view::npos;
  }

  static uint8_t divided_by_255(int product) {
    return static_cast<uint8_t>((product + 128 + ((product + 128) >> 8)) >> 8);
  }

  // At an eighth of the size, which goes through all of the file too and takes a 64th of the memory.
  void try_out(std::string_view bytes, const Header& h, const std::string& name) {
    // A file of many passes is kept as a whole until its last one: it should at least have an end.
    if (!has_end(bytes)) throw_damaged(name, "JPEG", "it has no end");
    const int width = (h.width + 7) / 8, height = (h.height + 7) / 8;
    const bool cmyk = h.colours == TJCS_CMYK || h.colours == TJCS_YCCK;
    std::vector<unsigned char> small(static_cast<size_t>(width) * static_cast<size_t>(height) * (cmyk ? 4 : 3));
    decompress(bytes, name, small.data(), width, height, cmyk ? TJPF_CMYK : TJPF_RGB, nullptr);
  }

  void decompress(std::string_view bytes, const std::string& name, unsigned char* into, int width, int height,
                  int format, std::string* doubt) {
    if (tjDecompress2(handle_.get(), data_of(bytes), bytes.size(), into, width, 0, height, format, kLimitScans) == 0)
      return;
    // Cameras leave bytes behind the pixels that the decoder warns of as it does of damage, so that it goes on, as with
    // Pillow. But where pixels are missing, grey would fill up.
    const std::string problem = tjGetErrorStr2(handle_.get());
    if (tjGetErrorCode(handle_.get()) != TJERR_WARNING || problem.find("remature end") != std::string::npos ||
        !has_end(bytes))
      fail(name);
    if (doubt) *doubt = problem;
  }

  std::unique_ptr<void, int (*)(tjhandle)> handle_;
};

JpegReader& jpeg_reader() {
  thread_local JpegReader reader;
  return reader;
}

// ---- PNG ----

// libpng calls back for bytes, and for errors, from which it must not return.
struct PngState {
  std::string_view bytes;
  size_t at = 0;
  std::string problem;
};

void read_png_bytes(png_structp png, png_bytep into, size_t count) {
  auto* state = static_cast<PngState*>(png_get_io_ptr(png));
  if (count > state->bytes.size() - state->at) png_error(png, "it ends too early");
  std::memcpy(into, state->bytes.data() + state->at, count);
  state->at += count;
}

[[noreturn]] void png_failed(png_structp png, png_const_charp message) {
  static_cast<PngState*>(png_get_error_ptr(png))->problem = message;
  png_longjmp(png, 1);
}

void png_warned(png_structp, png_const_charp) {}

// Reads into `rows` of `width` pixels, or leaves the problem in `state`. Nothing with a destructor lives here: errors
// jump out of it.
bool decode_png_into(PngState& state, png_structp png, png_infop info, size_t width, std::vector<png_bytep>& rows) {
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_read_fn(png, &state, read_png_bytes);
  png_set_user_limits(png, 1'000'000, 1'000'000);
  // Chunks that say nothing of the pixels are stepped over: libpng would take as much memory as they announce.
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
  png_read_info(png, info);
  png_set_expand(png);  // palettes and few bits to 8
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  png_set_gray_to_rgb(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  if (png_get_rowbytes(png, info) != width * 3) png_error(png, "unexpected kind of pixels");
  png_read_image(png, rows.data());
  png_read_end(png, nullptr);
  return true;
}

void read_png(std::string_view bytes, size_t width, std::vector<png_bytep>& rows, const std::string& name) {
  PngState state{bytes, 0, {}};
  png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &state, png_failed, png_warned);
  png_infop info = png ? png_create_info_struct(png) : nullptr;
  const bool good = info && decode_png_into(state, png, info, width, rows);
  png_destroy_read_struct(&png, &info, nullptr);
  if (!good) throw_damaged(name, "PNG", state.problem.empty() ? "libpng cannot be started" : state.problem);
}

RgbImage decode_png(std::string_view bytes, const PictureInfo& info, const std::string& name) {
  const size_t width = static_cast<size_t>(info.width), row_bytes = width * 3;
  std::vector<png_bytep> rows(static_cast<size_t>(info.height));
  if (is_large(info, bytes)) {
    std::vector<png_byte> row(row_bytes);  // all rows into the same one
    std::fill(rows.begin(), rows.end(), row.data());
    read_png(bytes, width, rows, name);
  }
  auto image = new_image(info.width, info.height);
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = image.pixels.data() + y * row_bytes;
  read_png(bytes, width, rows, name);
  return image;
}

uint32_t big_endian(std::string_view bytes, size_t at) {
  uint32_t value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return __builtin_bswap32(value);
}

// ---- WebP ----

// At an eighth of the size, which goes through all of the file too and takes a 64th of the memory; for a lossless one,
// which libwebp keeps as a whole, only whether it has an end.
void try_out_webp(std::string_view bytes, const PictureInfo& size, const std::string& name) {
  uint32_t announced;
  std::memcpy(&announced, bytes.data() + 4, sizeof announced);
  if (announced > bytes.size() - 8) throw_damaged(name, "WebP", "it announces more bytes than follow");
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config) || WebPGetFeatures(data_of(bytes), bytes.size(), &config.input) != VP8_STATUS_OK)
    throw_damaged(name, "WebP", "its header is not sound");
  constexpr int kLossless = 2;
  if (config.input.format == kLossless) return;
  config.options.use_scaling = 1;
  config.options.scaled_width = static_cast<int>((size.width + 7) / 8);
  config.options.scaled_height = static_cast<int>((size.height + 7) / 8);
  const auto status = WebPDecode(data_of(bytes), bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) throw_damaged(name, "WebP", "libwebp cannot decode it");
}

RgbImage decode_webp(std::string_view bytes, const PictureInfo& size, const std::string& name) {
  if (is_large(size, bytes)) try_out_webp(bytes, size, name);
  auto image = new_image(size.width, size.height);
  if (!WebPDecodeRGBInto(data_of(bytes), bytes.size(), image.pixels.data(), image.pixels.size(),
                         static_cast<int>(size.width * 3)))
    throw_damaged(name, "WebP", "libwebp cannot decode it");
  return image;
}

std::string likely_kind(std::string_view bytes) {
  const auto begins = [&](std::string_view magic) { return bytes.starts_with(magic); };
  if (bytes.empty()) return "it is empty";
  if (begins("GIF8")) return "it is a GIF";
  if (begins("BM")) return "it may be a BMP";
  if (begins("II*") || begins("MM\0*")) return "it is a TIFF";
  if (begins("<") || begins("\xEF\xBB\xBF<")) return "it is text (a page, or an SVG)";
  if (bytes.size() > 12 && bytes.substr(4, 4) == "ftyp") return "it is a HEIF or AVIF";
  return "its first bytes are of no format that is known";
}

}  // namespace

bool has_picture_name(const std::string& name) {
  const auto dot = name.rfind('.');
  auto ending = dot == std::string::npos ? "" : name.substr(dot);
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png" || ending == ".webp";
}

PictureInfo picture_info(std::string_view bytes, const std::string& name) {
  PictureInfo info;
  if (bytes.starts_with("\xFF\xD8\xFF")) {
    const auto header = jpeg_reader().header(bytes, name);
    info = {"JPEG", header.width, header.height, jpeg_orientation(bytes)};
  } else if (bytes.starts_with("\x89PNG\r\n\x1A\n")) {
    if (bytes.size() < 33) throw_damaged(name, "PNG", "it ends within its header");
    info = {"PNG", big_endian(bytes, 16), big_endian(bytes, 20), orientation_in_tiff(png_chunk(bytes, "eXIf"))};
  } else if (bytes.starts_with("RIFF") && bytes.size() >= 12 && bytes.substr(8, 4) == "WEBP") {
    int width = 0, height = 0;
    if (!WebPGetInfo(data_of(bytes), bytes.size(), &width, &height))
      throw_damaged(name, "WebP", "its header is not sound");
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(data_of(bytes), bytes.size(), &features) == VP8_STATUS_OK && features.has_animation)
      throw DataError(name + ": an animated WebP, which mfi does not read; save one of its pictures, or remove it");
    info = {"WebP", width, height, webp_orientation(bytes)};
  } else {
    throw DataError(name + ": not a picture that mfi reads (JPEG, PNG, WebP): " + likely_kind(bytes));
  }
  if (info.width < 1 || info.height < 1) throw_damaged(name, info.format, "it has no pixels");
  if (info.width > kMostPixels / info.height)
    throw DataError(format("%s: %lld x %lld pixels, at most %lld million are read", name.c_str(),
                           static_cast<long long>(info.width), static_cast<long long>(info.height),
                           static_cast<long long>(kMostPixels / 1'000'000)));
  return info;
}

RgbImage decode_picture(std::string_view bytes, const std::string& name, int64_t reduction, std::string* doubt) {
  const auto info = picture_info(bytes, name);
  auto image = info.format == "JPEG"  ? jpeg_reader().decode(bytes, info, name, reduction, doubt)
               : info.format == "PNG" ? decode_png(bytes, info, name)
                                      : decode_webp(bytes, info, name);
  return info.orientation <= 1 ? std::move(image) : turned(image, info.orientation);
}

std::string encode_png(const RgbImage& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  const auto write = [&](void* into) {
    return png_image_write_to_memory(&png, into, &size, /*convert_to_8bit=*/0, image.pixels.data(), /*row_stride=*/0,
                                     nullptr);
  };
  std::string bytes;
  bool good = write(nullptr) != 0;
  if (good) {
    bytes.resize(size);
    good = write(bytes.data()) != 0;
  }
  if (!good) throw Error(ExitCode::internal, std::string("a PNG file cannot be made: ") + png.message);
  bytes.resize(size);
  return bytes;
}

}  // namespace mfi
