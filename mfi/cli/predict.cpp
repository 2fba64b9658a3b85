// mfi predict
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "mfi/cli/commands.h"
#include "mfi/core/all_cores.h"
#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/data/augment.h"
#include "mfi/formats/file_tree.h"
#include "mfi/formats/picture.h"
#include "mfi/formats/resize.h"
#include "mfi/nn/fold.h"
#include "mfi/report/text_table.h"
#include "mfi/train/checkpoint.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatch = 64;

struct PredictArguments {
  std::string model, format = "auto", precision = "fp32";
  std::vector<std::string> paths;
  int64_t top = 1;
};

// What came of one picture.
struct Row {
  std::string path, problem;     // problem: why there is no prediction
  std::vector<int64_t> classes;  // the best first
  std::vector<double> probabilities;
};

void add_folder(const fs::path& folder, std::vector<std::string>& files) {
  const auto tree = open_file_tree(folder);
  for (const auto& name : tree->names())
    if (has_picture_name(name)) files.push_back((folder / name).string());
}

// Files as they are, a folder's pictures, and, for "-", the lines of standard input.
std::vector<std::string> list_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    if (path == "-") {
      for (std::string line; std::getline(std::cin, line);)
        if (!line.empty()) files.push_back(line);
    } else if (fs::is_directory(path)) {
      add_folder(path, files);
    } else {
      files.push_back(path);
    }
  }
  if (files.empty()) throw NotFoundError(join(paths, ", ") + ": no pictures there (.jpg, .png, .webp)");
  return files;
}

class Predictor {
 public:
  Predictor(const Model& model, const PredictArguments& arguments)
      : info_(model.info),
        network_(fold(*model.network)),
        size_(model.network->arch().image_size),
        top_(std::min(arguments.top, model.network->arch().classes)),
        dtype_(arguments.precision == "bf16" ? torch::kBFloat16 : torch::kFloat32) {}

  std::vector<Row> predict(const std::vector<std::string>& files) const {
    torch::NoGradGuard no_grad;
    std::vector<Row> rows(files.size());
    auto pixels = torch::zeros({static_cast<int64_t>(files.size()), 3, size_, size_}, torch::kUInt8);
    auto* const first = pixels.mutable_data_ptr<uint8_t>();
    on_all_cores(files.size(), [&](size_t i) {
      rows[i].path = files[i];
      try {
        write_planes(read(files[i]), first + static_cast<int64_t>(i) * 3 * size_ * size_);
      } catch (const Error& error) {
        rows[i].problem = error.what();
      }
    });
    const auto probabilities = network_->forward(normalise(pixels, info_.normalisation, dtype_)).softmax(1);
    const auto [best, classes] = probabilities.topk(top_, 1);
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].problem.empty()) continue;
      for (int64_t k = 0; k < top_; ++k) {
        rows[i].classes.push_back(classes[static_cast<int64_t>(i)][k].item<int64_t>());
        rows[i].probabilities.push_back(best[static_cast<int64_t>(i)][k].item<double>());
      }
    }
    return rows;
  }

  const std::string& class_name(int64_t index) const { return info_.class_names.at(static_cast<size_t>(index)); }
  int64_t top() const { return top_; }

 private:
  RgbImage read(const std::string& file) const {
    return fitted(decode_picture(read_file(file), file), size_, info_.crop, resize_filter(info_.resize));
  }

  ModelInfo info_;
  std::shared_ptr<Network> network_;
  int64_t size_, top_;
  torch::Dtype dtype_;
};

// ---- what is printed ----

class Writer {
 public:
  explicit Writer(const Predictor& predictor) : predictor_(predictor) {}
  virtual ~Writer() = default;
  virtual void write(const Row& row) = 0;
  virtual void finish() {}

 protected:
  const Predictor& predictor_;
};

class CsvWriter : public Writer {
 public:
  explicit CsvWriter(const Predictor& predictor) : Writer(predictor) {
    std::cout << "path";
    for (int64_t k = 1; k <= predictor.top(); ++k) {
      const auto suffix = k == 1 ? std::string() : std::to_string(k);
      std::cout << ",class" << suffix << ",probability" << suffix;
    }
    std::cout << ",problem\n";
  }
  void write(const Row& row) override {
    std::cout << csv_field(row.path);
    for (size_t k = 0; k < static_cast<size_t>(predictor_.top()); ++k) {
      if (row.problem.empty())
        std::cout << "," << csv_field(predictor_.class_name(row.classes[k])) << format(",%.6f", row.probabilities[k]);
      else
        std::cout << ",,";
    }
    std::cout << "," << csv_field(row.problem) << "\n";
  }
};

class JsonWriter : public Writer {
 public:
  using Writer::Writer;
  void write(const Row& row) override {
    nlohmann::ordered_json out{{"path", row.path}};
    if (!row.problem.empty()) out["problem"] = row.problem;
    for (size_t k = 0; k < row.classes.size(); ++k)
      out["predictions"].push_back(
          {{"class", predictor_.class_name(row.classes[k])}, {"probability", row.probabilities[k]}});
    // A path need not be UTF-8.
    std::cout << out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  }
};

class TableWriter : public Writer {
 public:
  explicit TableWriter(const Predictor& predictor) : Writer(predictor), table_({{"picture"}, {"class"}}) {}
  void write(const Row& row) override {
    std::vector<std::string> words;
    for (size_t k = 0; k < row.classes.size(); ++k)
      words.push_back(predictor_.class_name(row.classes[k]) + format(" %.1f %%", 100 * row.probabilities[k]));
    table_.add_row({row.path, row.problem.empty() ? join(words, ", ") : "- " + row.problem});
  }
  void finish() override { std::cout << table_.text(); }

 private:
  TextTable table_;
};

std::unique_ptr<Writer> make_writer(const std::string& format, const Predictor& predictor) {
  if (format == "json") return std::make_unique<JsonWriter>(predictor);
  if (format == "table" || (format == "auto" && isatty(STDOUT_FILENO))) return std::make_unique<TableWriter>(predictor);
  return std::make_unique<CsvWriter>(predictor);
}

void predict(const PredictArguments& arguments) {
  const auto files = list_files(arguments.paths);
  const auto model = load_model(arguments.model);
  const Predictor predictor(model, arguments);
  const auto writer = make_writer(arguments.format, predictor);
  install_stop_handlers();
  const auto start = std::chrono::steady_clock::now();
  size_t broken = 0;
  for (size_t first = 0; first < files.size(); first += kBatch) {
    throw_if_stopped();
    const auto end = files.begin() + static_cast<std::ptrdiff_t>(std::min(files.size(), first + kBatch));
    for (const auto& row : predictor.predict({files.begin() + static_cast<std::ptrdiff_t>(first), end})) {
      writer->write(row);
      broken += !row.problem.empty();
    }
  }
  writer->finish();
  std::cout << std::flush;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cerr << files.size() << (files.size() == 1 ? " picture, " : " pictures, ") << broken << " of them broken; "
            << format("%.3g pictures/s\n", static_cast<double>(files.size()) / seconds);
  if (broken == files.size())
    throw DataError("none of the pictures could be read; the first: " + predictor.predict({files[0]})[0].problem);
}

}  // namespace

void add_predict_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("predict", "Classes of pictures");
  auto a = std::make_shared<PredictArguments>();
  command->add_option("MODEL", a->model, "Model file, as runs/NAME/hybrid/model.safetensors")->required();
  command->add_option("PATH", a->paths, "Pictures (.jpg, .png, .webp), folders of them, or -: a list on standard input")
      ->required();
  command->add_option("--top", a->top, "So many classes, the most probable first; default 1")
      ->check(CLI::Range(1, 1000));
  command->add_option("--format", a->format, "csv, json (a line each) or table; default: table on a terminal, else csv")
      ->check(CLI::IsMember({"auto", "csv", "json", "table"}));
  command->add_option("--precision", a->precision, "fp32 (default) or bf16")->check(CLI::IsMember({"fp32", "bf16"}));
  command->footer(
      "A picture that cannot be read is a row with the reason, and no end.\n\n"
      "Example:\n  mfi predict runs/cifar10-resnet34-w16/hybrid/model.safetensors photos/ --top 3");
  command->callback([=, &action] { action = [=] { predict(*a); }; });
}

}  // namespace mfi
