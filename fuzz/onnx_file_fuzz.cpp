// ONNX: what is read is written and read again.
#include "fuzz/target.h"
#include "mfi/formats/onnx_file.h"

namespace mfi::fuzz {

void parse(std::string_view bytes) {
  const auto model = parse_onnx(std::string(bytes), "input");
  (void)onnx_problem(model);
  // Bytes are compared and not values: a float may be NaN.
  const auto written = write_onnx(model);
  require(write_onnx(parse_onnx(written, "output")) == written, "a model is written as it was read");
}

}  // namespace mfi::fuzz
