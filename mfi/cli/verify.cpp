// mfi verify
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/cli/model_data.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/augment.h"
#include "mfi/exchange/onnx_export.h"
#include "mfi/formats/safetensors.h"
#include "mfi/nn/fold.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/evaluate.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

struct VerifyArguments {
  std::string file, against, data, dataset, python = "python3";
  int64_t images = 1000;
  double tolerance = 1e-4;
};

// Runs an exported file on images in a raw file of float32, and writes what comes out as another.
constexpr const char* kPython = R"python(
import sys

file, images, shape, out = sys.argv[1], sys.argv[2], [int(side) for side in sys.argv[3].split("x")], sys.argv[4]
if not file.endswith(".py"):
    import numpy
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    pixels = numpy.fromfile(images, numpy.float32).reshape(shape)
    results = [session.run(None, {name: pixels[i : i + 100]})[0] for i in range(0, shape[0], 100)]
    numpy.concatenate(results).astype(numpy.float32).tofile(out)
else:
    import importlib.util
    import pathlib

    import torch

    spec = importlib.util.spec_from_file_location("exported", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.load()
    pixels = torch.frombuffer(bytearray(pathlib.Path(images).read_bytes()), dtype=torch.float32).reshape(shape)
    with torch.no_grad():
        results = torch.cat([net(batch) for batch in pixels.split(100)])
    pathlib.Path(out).write_bytes(bytes(results.contiguous().untyped_storage()))
)python";

constexpr useconds_t kLookMicroseconds = 10'000;

// A folder that is gone afterwards.
class WorkFolder {
 public:
  WorkFolder() {
    std::string pattern = (fs::temp_directory_path() / "mfi-verify-XXXXXX").string();
    if (!mkdtemp(pattern.data()))
      throw CannotWriteError("no folder can be made in " + fs::temp_directory_path().string() + ": " +
                             std::strerror(errno));
    path_ = pattern;
  }
  ~WorkFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  fs::path operator/(const char* name) const { return path_ / name; }

 private:
  fs::path path_;
};

std::string last_line(const fs::path& file) {
  std::ifstream in(file);
  std::string last;
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) last = line;
  return last;
}

// Throws when the program cannot be run, or ends with another code than 0: with the last line that it wrote.
void run_python(const VerifyArguments& arguments, const std::vector<std::string>& words, const fs::path& log) {
  const pid_t child = fork();
  if (child < 0) throw Error(ExitCode::internal, std::string("no process can be started: ") + std::strerror(errno));
  if (child == 0) {
    const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file >= 0) {
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
    }
    std::vector<char*> pointers;
    for (const auto& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
    pointers.push_back(nullptr);
    execvp(pointers[0], pointers.data());
    _exit(127);
  }
  int status = 0;
  for (bool told = false; waitpid(child, &status, WNOHANG) == 0;) {
    if (!told && stop_asked_for() != 0) told = kill(child, SIGTERM) == 0;
    usleep(kLookMicroseconds);
  }
  throw_if_stopped();
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
    throw NotFoundError(arguments.python + ": cannot be run; give a Python with --python");
  const auto line = last_line(log);
  const bool lacks = line.find("ModuleNotFoundError") != std::string::npos;
  const std::string message = arguments.file + ": " + arguments.python +
                              " could not run it: " + (line.empty() ? "it ended without a word" : line) +
                              (lacks ? "; give a Python that has it with --python" : "");
  if (lacks) throw NotFoundError(message);
  throw CheckpointError(message);
}

torch::Tensor logits_of(const Network& network, const torch::Tensor& images) {
  const auto folded = fold(network);
  std::vector<torch::Tensor> logits;
  for (const auto& batch : images.split(100)) {
    throw_if_stopped();
    logits.push_back(folded->forward(batch));
  }
  return torch::cat(logits);
}

enum class Kind { onnx, python, safetensors };

// An export may have any name but for a Python file's.
Kind kind_of(const fs::path& file) {
  if (file.extension() == ".py") return Kind::python;
  if (file.extension() == ".safetensors") return Kind::safetensors;
  if (file.extension() == ".onnx") return Kind::onnx;
  try {
    read_safetensors_metadata(file);
    return Kind::safetensors;
  } catch (const CheckpointError&) {
    return Kind::onnx;
  }
}

// What the file gives for images, which are normalised or not as it wants them.
torch::Tensor exported_results(const VerifyArguments& arguments, Kind kind, const torch::Tensor& images,
                               int64_t classes) {
  if (kind == Kind::safetensors) return logits_of(*load_model(arguments.file).network, images);
  const WorkFolder folder;
  const auto pixels = images.contiguous();
  replace_file(folder / "images", std::string_view(static_cast<const char*>(pixels.const_data_ptr()), pixels.nbytes()));
  std::vector<std::string> sides;
  for (const auto side : pixels.sizes()) sides.push_back(std::to_string(side));
  run_python(arguments,
             {arguments.python, "-c", kPython, fs::absolute(arguments.file).string(), (folder / "images").string(),
              join(sides, "x"), (folder / "results").string()},
             folder / "log");
  const auto bytes = read_file(folder / "results");
  auto results = torch::empty({images.size(0), classes});
  if (bytes.size() != results.nbytes())
    throw CheckpointError(format("%s: gives %zu bytes for %lld images, expected %zu; it is of another network",
                                 arguments.file.c_str(), bytes.size(), static_cast<long long>(images.size(0)),
                                 results.nbytes()));
  std::memcpy(results.mutable_data_ptr(), bytes.data(), bytes.size());
  return results;
}

void verify(const VerifyArguments& arguments) {
  install_stop_handlers();  // so that the folder of images is removed
  torch::NoGradGuard no_grad;
  if (std::error_code none; !fs::exists(arguments.file, none))
    throw NotFoundError(arguments.file + ": there is no such file");
  const auto kind = kind_of(arguments.file);
  const auto model = load_model(arguments.against);
  bool normalised_inside = false, probabilities = false;
  if (kind == Kind::onnx) {
    const auto onnx = parse_onnx(read_file(arguments.file), arguments.file);
    if (const auto problem = onnx_problem(onnx); !problem.empty())
      throw CheckpointError(arguments.file + ": not sound: " + problem);
    const auto found = onnx.metadata.find("mfi.preprocessing");
    normalised_inside =
        found != onnx.metadata.end() && found->second.find("\"normalised_inside\":true") != std::string::npos;
    probabilities = onnx.outputs.at(0).name == "probabilities";
  }

  const auto data = open_model_data(model, arguments.dataset, arguments.data);
  const int64_t count = std::min<int64_t>(arguments.images, data.test.size());
  const auto bytes = data.test.first_images(count);
  const auto labels = data.test.labels.narrow(0, 0, count);
  const auto images = normalise(bytes, model.info.normalisation, torch::kFloat32);

  auto expected = logits_of(*model.network, images);
  if (probabilities) expected = expected.softmax(1);
  const auto given = normalised_inside ? normalise(bytes, Normalisation{}, torch::kFloat32) : images;
  const auto results = exported_results(arguments, kind, given, model.network->arch().classes);

  if (results.sizes() != expected.sizes())
    throw CheckpointError(format("%s: answers with %lld numbers an image, %s with %lld; it is of another network",
                                 arguments.file.c_str(), static_cast<long long>(results.size(-1)),
                                 arguments.against.c_str(), static_cast<long long>(expected.size(-1))));
  const double difference = (results - expected).abs().max().item<double>();
  const auto percent = [&](const torch::Tensor& hits) { return 100 * hits.to(torch::kFloat64).mean().item<double>(); };
  const auto best = results.argmax(1), best_own = expected.argmax(1);
  const double agreement = percent(best.eq(best_own));
  std::cout << format("%s against %s, on the first %lld test images of %s\n", arguments.file.c_str(),
                      arguments.against.c_str(), static_cast<long long>(count), data.name.c_str())
            << format("largest difference of %s: %.2g (largest: %.3g)\n", probabilities ? "probabilities" : "logits",
                      difference, expected.abs().max().item<double>())
            << format("same class:  %.2f %%\n", agreement);
  // Of pictures of other classes the answers compare all the same.
  if (data.test.class_names.size() == static_cast<size_t>(model.network->arch().classes))
    std::cout << format("top-1:       %.2f %%, the model %.2f %%\n", percent(best.eq(labels)),
                        percent(best_own.eq(labels)));
  if (!(difference <= arguments.tolerance))
    throw CheckpointError(
        format("%s: differs from %s by %.2g, expected at most %.2g (--tolerance; int8 and fp16 need more)",
               arguments.file.c_str(), arguments.against.c_str(), difference, arguments.tolerance));
}

}  // namespace

void add_verify_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("verify", "Run an exported file and compare it with its model");
  auto a = std::make_shared<VerifyArguments>();
  command->add_option("EXPORT", a->file, "What 'mfi export' wrote: ONNX, a .py or safetensors")->required();
  command->add_option("--against", a->against, "The model that it was made from")->required()->type_name("MODEL");
  command->add_option("--data", a->data, "Folder of the dataset; default: the environment's MFI_DATA")
      ->type_name("DIR");
  command->add_option("--dataset", a->dataset, "Another dataset than the model was trained on")
      ->type_name("NAME")
      ->check(CLI::IsMember(dataset_names()));
  command->add_option("--images", a->images, "Test images to compare on; default: 1000")->check(CLI::Range(1, 1000000));
  command->add_option("--tolerance", a->tolerance, "Largest difference that is accepted; default: 1e-4")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--python", a->python, "A Python with onnxruntime (.onnx) or torch (.py); default: python3")
      ->type_name("PROGRAM");
  command->footer(
      "Example:\n  mfi verify hybrid.onnx --data ~/data \\\n"
      "    --against runs/cifar10-resnet34-w16/hybrid/model.safetensors" +
      exit_codes_section({ExitCode::usage, ExitCode::bad_data, ExitCode::not_found, ExitCode::cannot_write,
                          ExitCode::checkpoint, ExitCode::interrupted, ExitCode::terminated}) +
      environment_section({"MFI_DATA"}));
  command->callback([=, &action] { action = [=] { verify(*a); }; });
}

}  // namespace mfi
