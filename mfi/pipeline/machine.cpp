#include "mfi/pipeline/machine.h"

#include <ATen/Parallel.h>
#include <torch/version.h>

#include <fstream>
#include <sstream>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/core/torch.h"

#ifndef MFI_VERSION
#error "MFI_VERSION is set in this folder's CMakeLists.txt"
#endif

namespace mfi {
namespace {

struct Processor {
  std::string name = "unknown processor";
  std::unordered_set<std::string> flags;
};

Processor read_processor() {
  Processor out;
  std::ifstream file("/proc/cpuinfo");
  bool named = false;
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto value = colon + 2 <= line.size() ? line.substr(colon + 2) : "";
    if (line.starts_with("model name") && !named) {
      out.name = value;
      named = true;
    }
    if (line.starts_with("flags") || line.starts_with("Features")) {
      std::istringstream words(value);
      for (std::string word; words >> word;) out.flags.insert(word);
      break;  // all cores have the same
    }
  }
  return out;
}

}  // namespace

std::string machine_text() {
  const auto processor = read_processor();
  static const std::vector<std::pair<const char*, const char*>> kInstructions{
      {"avx2", "AVX2"},    {"avx512f", "AVX512"}, {"avx512_bf16", "AVX512-BF16"},
      {"amx_bf16", "AMX"}, {"sve", "SVE"},        {"bf16", "BF16"}};
  std::vector<std::string> found;
  for (const auto& [flag, name] : kInstructions)
    if (processor.flags.contains(flag)) found.push_back(name);
  const int threads = at::get_num_threads();
  return format("%s, %d thread%s, %s", processor.name.c_str(), threads, threads == 1 ? "" : "s",
                found.empty() ? "no known vector instructions" : join(found, " ").c_str());
}

std::string version_text() { return "mfi " MFI_VERSION ", LibTorch " TORCH_VERSION; }

std::string environment_text(const RuntimeSettings& runtime, int64_t processes) {
  auto text = format("%s on %s", version_text().c_str(), machine_text().c_str());
  if (runtime.device != "cpu") text += ", " + runtime.device;
  if (processes > 1) text += format(", %lld processes", static_cast<long long>(processes));
  return text;
}

void apply_runtime(const RuntimeSettings& runtime, bool repeatable) {
  if (runtime.device == "cuda" && !torch::cuda::is_available())
    throw RecipeError(
        "runtime.device is \"cuda\", but this LibTorch sees no CUDA device; "
        "use runtime.device = \"cpu\", or a LibTorch with CUDA on a machine that has a GPU");
  if (repeatable) {
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setBenchmarkCuDNN(false);
    // Or cuBLAS refuses to compute.
    if (runtime.device == "cuda") setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);
  }
  if (runtime.threads > 0) at::set_num_threads(static_cast<int>(runtime.threads));
}

}  // namespace mfi
