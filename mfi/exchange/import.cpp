#include "mfi/exchange/import.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>

#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/exchange/foreign_names.h"
#include "mfi/formats/torch_file.h"
#include "mfi/train/tensor_types.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

// By its first bytes: the length of a header of less than 4 GB, and the header's first.
bool looks_like_safetensors(const fs::path& path) {
  std::array<char, 9> head{};
  std::ifstream file(path, std::ios::binary);
  return file.read(head.data(), head.size()) && std::all_of(&head[4], &head[8], [](char c) { return c == 0; }) &&
         head[8] == '{';
}

// The file as torch.save's files are read. Its tensors point into `safetensors`.
TorchFile as_torch_file(const SafetensorsFile& safetensors) {
  TorchFile file;
  StateDict dict;
  for (const auto& tensor : safetensors.tensors) {
    StoredTensor stored{tensor.type, tensor.shape, std::vector<int64_t>(tensor.shape.size(), 1), 0, tensor.data, {}};
    for (size_t i = tensor.shape.size(); i-- > 1;) stored.strides[i - 1] = stored.strides[i] * tensor.shape[i];
    dict.tensors.emplace_back(tensor.name, std::move(stored));
  }
  file.state_dicts.push_back(std::move(dict));
  return file;
}

// A copy, of the shape that the network has for it.
torch::Tensor float32_tensor(const StoredTensor& stored, torch::IntArrayRef shape) {
  const auto type = torch_type(stored.type);
  const auto* first = stored.storage + static_cast<size_t>(stored.offset) * element_size(stored.type);
  return torch::from_blob(const_cast<std::byte*>(first), stored.shape, stored.strides, type)
      .to(torch::kFloat32)
      .contiguous()
      .view(shape);
}

int64_t recognised_tensors(const StateDict& dict) {
  return std::count_if(dict.tensors.begin(), dict.tensors.end(),
                       [](const auto& item) { return !own_name(item.first).empty(); });
}

std::string spoken(const std::string& key) { return key.empty() ? "the outermost dict" : "'" + key + "'"; }

// Less is better: how surprising it would be to take the dict at this key.
int64_t surprise(const std::string& key) {
  static const std::array<std::string_view, 7> usual{"",    "state_dict", "model_state_dict", "model",
                                                     "net", "network",    "weights"};
  const auto* found = std::find(usual.begin(), usual.end(), key);
  if (found != usual.end()) return found - usual.begin();
  return key.find("ema") != std::string::npos ? 1000 : 100;
}

const StateDict& choose(const TorchFile& file, const ImportSettings& settings, ImportReport& report) {
  std::vector<std::string> keys;
  std::map<const StateDict*, int64_t> recognised;
  for (const auto& dict : file.state_dicts) {
    keys.push_back(dict.key);
    recognised[&dict] = recognised_tensors(dict);
  }
  const StateDict* chosen = nullptr;
  if (!settings.key.empty()) {
    for (const auto& dict : file.state_dicts)
      if (dict.key == settings.key) chosen = &dict;
    if (!chosen) {
      std::vector<std::string> spoken_keys;
      for (const auto& key : keys) spoken_keys.push_back(spoken(key));
      throw CheckpointError("no tensors at the key '" + settings.key + "'; there are some at " +
                            join(spoken_keys, ", "));
    }
  } else {
    for (const auto& dict : file.state_dicts) {
      const auto better = [&] {
        const auto here = recognised.at(&dict), there = recognised.at(chosen);
        if (here != there) return here > there;
        // What is wrong is said of the one that is most of the file.
        const auto more = dict.tensors.size(), fewer = chosen->tensors.size();
        return here == 0 && more != fewer ? more > fewer : surprise(dict.key) < surprise(chosen->key);
      };
      if (!chosen || better()) chosen = &dict;
    }
  }
  report.key = chosen->key;
  for (const auto& dict : file.state_dicts)
    if (&dict != chosen && recognised.at(&dict) >= recognised.at(chosen)) report.other_keys.push_back(dict.key);
  return *chosen;
}

// The first few, and how many more there are.
std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 4;
  std::vector<std::string> shown(names.begin(),
                                 names.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, names.size())));
  return join(shown, ", ") + (names.size() > kShown ? format(" and %zu more", names.size() - kShown) : "");
}

using Found = std::map<std::string, std::pair<std::string, const StoredTensor*>>;  // by mfi's name; the file's name

// The tensors of a ResNet among those of the dict. Throws where there are others.
Found find_tensors(const StateDict& dict, const ImportSettings& settings, ImportReport& report) {
  Found found;
  std::vector<std::string> left_over;
  for (const auto& [key, tensor] : dict.tensors) {
    if (is_bookkeeping(key)) {
      ++report.bookkeeping;
      continue;
    }
    if (std::any_of(settings.ignore.begin(), settings.ignore.end(),
                    [&](const auto& i) { return key.starts_with(i); })) {
      report.ignored.push_back(key);
      continue;
    }
    const auto name = own_name(key);
    if (name.empty()) {
      left_over.push_back(key);
      continue;
    }
    const auto [other, fresh] = found.emplace(name, std::pair(key, &tensor));
    if (!fresh) throw CheckpointError("both " + other->second.first + " and " + key + " would be " + name);
    if (name == "stem.conv.conv.weight") report.first_key = key;
  }
  if (!left_over.empty()) {
    const auto variant = likely_variant(left_over);
    const auto all = static_cast<int64_t>(left_over.size() + found.size());
    throw CheckpointError(
        format("%zu of %lld tensors have no place in a plain ResNet: %s%s; if the network works without "
               "them, leave them out with --ignore",
               left_over.size(), static_cast<long long>(all), some_of(left_over).c_str(),
               variant.empty() ? "" : (". This looks like " + variant).c_str()));
  }
  return found;
}

bool is_floating(TensorType type) {
  return type == TensorType::f32 || type == TensorType::f64 || type == TensorType::f16 || type == TensorType::bf16;
}

void require_readable(const Found& found) {
  for (const auto& [name, item] : found) {
    const auto& [key, tensor] = item;
    if (!tensor->problem.empty()) throw CheckpointError(key + " cannot be read: " + tensor->problem);
    if (!is_floating(tensor->type))
      throw CheckpointError(key + " is of type " + type_name(tensor->type) + ", expected a floating type");
  }
}

// Fills the network, whose shapes are those of the tensors as recognise() has checked them.
void copy_tensors(const Found& found, Network& network, ImportReport& report) {
  torch::NoGradGuard no_grad;
  std::vector<std::string> missing;
  std::set<std::string> used;
  for (const auto& [name, target] : named_tensors(network)) {
    const auto source = found.find(name);
    if (source == found.end()) {
      missing.push_back(name);
      continue;
    }
    const auto& [key, tensor] = source->second;
    int64_t count = 1;
    for (const auto side : tensor->shape) count *= side;
    const bool vector_differs = target.dim() == 1 && tensor->shape != target.sizes().vec();
    if (count != target.numel() || vector_differs)
      throw CheckpointError(key + " is " + shape_text(tensor->shape) + ", expected " +
                            shape_text(target.sizes().vec()));
    target.copy_(float32_tensor(*tensor, target.sizes()));
    if (!torch::isfinite(target).all().item<bool>()) throw CheckpointError(key + " holds values that are not finite");
    used.insert(name);
  }
  if (!missing.empty())
    throw CheckpointError(format("%zu tensors of %s are missing: %s", missing.size(), network.arch().name.c_str(),
                                 some_of(missing).c_str()));
  report.matched = static_cast<int64_t>(used.size());
  std::vector<std::string> left_over;
  auto buffers = network.named_buffers();
  for (const auto& [name, item] : found) {
    if (used.contains(name)) continue;
    const std::string_view bias = ".conv.bias";
    auto* const norm =
        name.ends_with(bias) ? buffers.find(name.substr(0, name.size() - bias.size()) + ".norm.running_mean") : nullptr;
    if (!norm) {
      left_over.push_back(item.first);
      continue;
    }
    if (item.second->shape != norm->sizes().vec())
      throw CheckpointError(item.first + " is " + shape_text(item.second->shape) + ", expected " +
                            shape_text(norm->sizes().vec()));
    norm->sub_(float32_tensor(*item.second, norm->sizes()));
    if (!torch::isfinite(*norm).all().item<bool>())
      throw CheckpointError(item.first + " holds values that are not finite");
    report.biases.push_back(item.first);
  }
  if (!left_over.empty())
    throw CheckpointError(format("%zu tensors have no place in %s: %s", left_over.size(), network.arch().name.c_str(),
                                 some_of(left_over).c_str()));
}

Imported import_from(const TorchFile& file, const ImportSettings& settings) {
  Imported out;
  out.report.notes = file.notes;
  const auto& dict = choose(file, settings, out.report);
  const auto found = find_tensors(dict, settings, out.report);
  require_readable(found);
  TensorShapes shapes;
  for (const auto& [name, item] : found) shapes[name] = item.second->shape;
  out.network = std::make_shared<Network>(recognise(shapes, settings.recognise));
  copy_tensors(found, *out.network, out.report);
  out.network->eval();
  return out;
}

}  // namespace

Imported import_network(const fs::path& path, const ImportSettings& settings) {
  try {
    if (looks_like_safetensors(path)) {
      const auto safetensors = read_safetensors(path);
      if (safetensors.metadata.contains("mfi.arch"))
        throw CheckpointError("is a model of mfi already; use it as it is");
      return import_from(as_torch_file(safetensors), settings);
    }
    return import_from(read_torch_file(path), settings);
  } catch (const CheckpointError& error) {
    const std::string message = error.what();
    throw CheckpointError(message.starts_with(path.string()) ? message : path.string() + ": " + message);
  }
}

}  // namespace mfi
