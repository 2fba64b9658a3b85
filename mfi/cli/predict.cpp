// mfi predict
#include <glob.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "mfi/cli/commands.h"
#include "mfi/cli/help_facts.h"
#include "mfi/core/error.h"
#include "mfi/core/stop_signal.h"
#include "mfi/core/text.h"
#include "mfi/deploy/classifier.h"
#include "mfi/formats/file_tree.h"
#include "mfi/formats/picture.h"
#include "mfi/report/text_table.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

constexpr size_t kBatch = 64;

struct PredictArguments {
  std::string model, format = "auto", precision = "fp32";
  std::vector<std::string> paths;
  int64_t top = 1;
};

void add_folder(const fs::path& folder, std::vector<std::string>& files) {
  const auto tree = open_file_tree(folder);
  for (const auto& name : tree->names())
    if (has_picture_name(name)) files.push_back((folder / name).string());
}

// What a pattern stands for that reached us in quotes, as more names than a command line may hold do.
void add_pattern(const std::string& pattern, std::vector<std::string>& files) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), 0, nullptr, &found);
  if (status == 0)
    for (size_t i = 0; i < found.gl_pathc; ++i) files.emplace_back(found.gl_pathv[i]);
  ::globfree(&found);
  if (status != 0) throw NotFoundError(pattern + ": no file is called like that");
}

// Files as they are, a folder's pictures, patterns, and, for "-", the lines of standard input.
std::vector<std::string> list_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const auto& path : paths) {
    if (path == "-") {
      for (std::string line; std::getline(std::cin, line);) {
        if (line.ends_with('\r')) line.pop_back();
        if (!line.empty()) files.push_back(line);
      }
    } else if (std::error_code none; fs::is_directory(path, none)) {
      add_folder(path, files);
    } else if (path.find_first_of("*?[") != std::string::npos && !fs::exists(path, none)) {
      add_pattern(path, files);
    } else {
      files.push_back(path);
    }
  }
  if (files.empty()) throw NotFoundError(join(paths, ", ") + ": no pictures there (.jpg, .png, .webp)");
  return files;
}

// ---- what is printed ----

class Writer {
 public:
  virtual ~Writer() = default;
  virtual void write(const FilePredictions& row) = 0;
  virtual void finish() {}
};

class CsvWriter : public Writer {
 public:
  explicit CsvWriter(size_t top) : top_(top) {
    std::cout << "path";
    for (size_t k = 1; k <= top; ++k) {
      const auto suffix = k == 1 ? std::string() : std::to_string(k);
      std::cout << ",class" << suffix << ",probability" << suffix;
    }
    std::cout << ",problem\n";
  }
  void write(const FilePredictions& row) override {
    std::cout << csv_field(row.file.string());
    for (size_t k = 0; k < top_; ++k) {
      if (row.problem.empty())
        std::cout << "," << csv_field(row.predictions[k].class_name) << format(",%.6f", row.predictions[k].probability);
      else
        std::cout << ",,";
    }
    std::cout << "," << csv_field(row.problem) << "\n";
  }

 private:
  size_t top_;
};

class JsonWriter : public Writer {
 public:
  void write(const FilePredictions& row) override {
    nlohmann::ordered_json out{{"path", row.file.string()}};
    if (!row.problem.empty()) out["problem"] = row.problem;
    for (const auto& prediction : row.predictions)
      out["predictions"].push_back({{"class", prediction.class_name}, {"probability", prediction.probability}});
    // A path need not be UTF-8.
    std::cout << out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << "\n";
  }
};

class TableWriter : public Writer {
 public:
  TableWriter() : table_({{"picture"}, {"class"}}) {}
  void write(const FilePredictions& row) override {
    std::vector<std::string> words;
    for (const auto& prediction : row.predictions)
      words.push_back(prediction.class_name + format(" %.1f %%", 100 * prediction.probability));
    table_.add_row({row.file.string(), row.problem.empty() ? join(words, ", ") : "- " + row.problem});
  }
  void finish() override { std::cout << table_.text(); }

 private:
  TextTable table_;
};

std::unique_ptr<Writer> make_writer(const std::string& format, size_t top) {
  if (format == "json") return std::make_unique<JsonWriter>();
  if (format == "table" || (format == "auto" && isatty(STDOUT_FILENO))) return std::make_unique<TableWriter>();
  return std::make_unique<CsvWriter>(top);
}

void predict(const PredictArguments& arguments) {
  const auto files = list_files(arguments.paths);
  const auto classifier = Classifier::load(
      arguments.model, arguments.precision == "bf16" ? ClassifierPrecision::bf16 : ClassifierPrecision::fp32);
  const auto writer =
      make_writer(arguments.format, std::min(static_cast<size_t>(arguments.top), classifier.class_names().size()));
  install_stop_handlers();
  const auto start = std::chrono::steady_clock::now();
  size_t broken = 0;
  std::string first_problem;
  for (size_t first = 0; first < files.size(); first += kBatch) {
    throw_if_stopped();
    const auto end = files.begin() + static_cast<std::ptrdiff_t>(std::min(files.size(), first + kBatch));
    for (const auto& row :
         classifier.classify_files({files.begin() + static_cast<std::ptrdiff_t>(first), end}, arguments.top)) {
      writer->write(row);
      broken += !row.problem.empty();
      if (first_problem.empty()) first_problem = row.problem;
    }
  }
  writer->finish();
  std::cout << std::flush;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::cerr << files.size() << (files.size() == 1 ? " picture, " : " pictures, ") << broken << " of them broken; "
            << format("%.3g pictures/s\n", static_cast<double>(files.size()) / seconds);
  if (broken == files.size()) throw DataError("none of the pictures could be read; the first: " + first_problem);
}

}  // namespace

void add_predict_command(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("predict", "Classes of pictures");
  auto a = std::make_shared<PredictArguments>();
  command->add_option("MODEL", a->model, "Model file, as runs/NAME/hybrid/model.safetensors")->required();
  command
      ->add_option("PATH", a->paths,
                   "Pictures (.jpg, .png, .webp), folders of them, patterns in quotes, or -: a list on standard input")
      ->required();
  command->add_option("--top", a->top, "So many classes, the most probable first; default: 1")
      ->check(CLI::Range(1, 1000));
  command
      ->add_option("--format", a->format,
                   "What is printed; json: a line each; auto: a table on a terminal, else csv; default: auto")
      ->check(CLI::IsMember({"auto", "csv", "json", "table"}));
  command->add_option("--precision", a->precision, "Of the activations; default: fp32")
      ->check(CLI::IsMember({"fp32", "bf16"}));
  command->footer(
      "A picture that cannot be read is a row with the reason, and no end.\n\n"
      "Example:\n  mfi predict runs/cifar10-resnet34-w16/hybrid/model.safetensors photos/ --top 3" +
      exit_codes_section({ExitCode::bad_data, ExitCode::not_found, ExitCode::checkpoint, ExitCode::interrupted,
                          ExitCode::terminated}));
  command->callback([=, &action] { action = [=] { predict(*a); }; });
}

}  // namespace mfi
