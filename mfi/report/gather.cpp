#include "mfi/report/gather.h"

#include <algorithm>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/data/pictures.h"
#include "mfi/formats/picture.h"
#include "mfi/formats/resize.h"
#include "mfi/nn/latency.h"
#include "mfi/pipeline/machine.h"
#include "mfi/pipeline/plan.h"
#include "mfi/pipeline/predictions.h"
#include "mfi/pipeline/recipe_table.h"
#include "mfi/pipeline/runner.h"
#include "mfi/report/answer_comparison.h"
#include "mfi/report/network_table.h"
#include "mfi/train/checkpoint.h"
#include "mfi/train/metrics_file.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPictures = 24;
constexpr int64_t kLargestSide = 128;  // larger pictures would make the page many megabytes

// Runs `work`; what it cannot read is told.
template <class Work>
std::string problem_of(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    if (error.exit_code() == ExitCode::interrupted || error.exit_code() == ExitCode::terminated) throw;
    return error.what();
  }
  return "";
}

void compare_parts(const fs::path& run, const GatherOptions& options, RunReport& report) {
  const auto load = [&](const char* step) { return load_model(run / step / "model.safetensors"); };
  const auto teacher = load("teacher"), hybrid = load("hybrid");
  const auto &teacher_arch = teacher.network->arch(), &hybrid_arch = hybrid.network->arch();
  if (teacher_arch.stages.size() != hybrid_arch.stages.size())
    throw CheckpointError("teacher and hybrid have different numbers of stages");
  const auto teacher_costs = part_costs(teacher_arch), hybrid_costs = part_costs(hybrid_arch);
  for (size_t i = 0; i < teacher_costs.size(); ++i) {
    PartPair pair{teacher_costs[i].part, part_text(teacher_arch, i), part_text(hybrid_arch, i), teacher_costs[i],
                  hybrid_costs[i]};
    report.parts.push_back(pair);
  }
  report.class_names = hybrid.info.class_names;

  report.latency_missing = options.no_latency;
  if (!options.no_latency.empty()) return;
  MeasuredLatency latency;
  const auto times = measure_by_turns(teacher.network, hybrid.network, latency.images);
  if (worst_spread(times) > kLargestSpread) {
    report.latency_missing = format(
        "the machine was busy: between the quartiles of the times lay %.0f %% of their median, and more than %.0f %% "
        "is taken for noise",
        100 * worst_spread(times), 100 * kLargestSpread);
    return;
  }
  latency.teacher = times[0].milliseconds;
  latency.hybrid = times[1].milliseconds;
  latency.machine = machine_text();
  report.latency = latency;
}

void read_answers(const fs::path& run, RunReport& report) {
  const auto read = [&](const char* step) {
    const auto file = run / step / kPredictionsFile;
    if (!fs::exists(file))
      throw NotFoundError(file.string() +
                          " is not there: the step was run by an older mfi, which did not keep its answers");
    return read_predictions(file);
  };
  auto teacher = read("teacher"), hybrid = read("hybrid");
  if (teacher.labels != hybrid.labels) throw DataError("teacher and hybrid were tested on different images");
  report.teacher_answers = std::move(teacher);
  report.hybrid_answers = std::move(hybrid);
}

RgbImage test_image(const Dataset& data, int64_t index) {
  RgbImage out{data.width(), data.height(), {}};
  const auto pixels = static_cast<size_t>(out.width * out.height);
  std::vector<uint8_t> planes(3 * pixels);
  if (data.pictures) {
    data.pictures->write(index, planes.data());
  } else {
    const auto image = data.images[index].contiguous();
    std::copy_n(image.const_data_ptr<uint8_t>(), planes.size(), planes.begin());
  }
  out.pixels.resize(planes.size());
  for (size_t i = 0; i < pixels; ++i)
    for (size_t c = 0; c < 3; ++c) out.pixels[3 * i + c] = planes[c * pixels + i];
  if (std::max(out.width, out.height) > kLargestSide)
    return resized(out, {0, 0, out.width, out.height}, kLargestSide * out.width / std::max(out.width, out.height),
                   kLargestSide * out.height / std::max(out.width, out.height), ResizeFilter::bicubic);
  return out;
}

void take_pictures(const Dataset& test, RunReport& report) {
  const auto &teacher = *report.teacher_answers, &hybrid = *report.hybrid_answers;
  const auto labels = test.labels.to(torch::kInt64).contiguous();
  if (!std::equal(teacher.labels.begin(), teacher.labels.end(), labels.const_data_ptr<int64_t>(),
                  labels.const_data_ptr<int64_t>() + labels.numel()))
    throw DataError("the dataset that was found is another than the run was tested on");
  std::vector<DisputedPicture> pictures;
  for (const auto index : telling_images(teacher, hybrid, kPictures)) {
    const auto image = test_image(test, index);
    pictures.push_back({index, image.width, encode_png(image)});
  }
  report.pictures = std::move(pictures);
}

void read_curves(const fs::path& run, RunReport& report) {
  for (const auto& step : report.results.steps) {
    StepCurve curve{step.step, step.purpose, {}, ""};
    const auto file = run / step.step / "metrics.csv";
    // What was not trained may have none.
    if (step.epochs > 0 || fs::exists(file)) curve.missing = problem_of([&] { curve.rows = read_metrics_csv(file); });
    report.curves.push_back(curve);
  }
}

void read_the_recipe(const fs::path& run, RunReport& report) {
  report.recipe_toml = read_file(run / "recipe.toml");
  const auto recipe = read_recipe(run / "recipe.toml");
  report.recipe = recipe_lines(recipe);
  // The steps' names depend on neither the classes nor the size of the images. Without its model file a recipe has no
  // plan, and it is not known what is still to be done.
  problem_of([&] {
    for (const auto& step : make_plan(recipe, DataShape{}).steps)
      if (!report.results.find(step.name)) report.steps_to_do.push_back(step.name);
  });
}

}  // namespace

std::vector<RecipeLine> recipe_lines(const Recipe& recipe) {
  std::vector<RecipeLine> out;
  for (const auto& entry : recipe_entries()) {
    RecipeLine line{entry.key.path, recipe_value_text(entry.get(recipe)), entry.key.default_text, entry.key.meaning,
                    false};
    if (entry.is_given && !entry.is_given(recipe)) line.value = line.default_value;
    line.differs = line.value != line.default_value;
    out.push_back(line);
  }
  return out;
}

Dataset open_test_images(const Recipe& recipe, const fs::path& folder) {
  auto settings = recipe.data;
  settings.seed = recipe.seed;
  settings.cache = "none";
  settings.normalisation = Normalisation{};  // bytes are looked at, as they are
  return open_data(settings, folder).test;
}

RunReport gather_report(const fs::path& run, const GatherOptions& options) {
  RunReport report;
  report.results = collect_results(run);
  report.recipe_missing = problem_of([&] { read_the_recipe(run, report); });
  const bool both = report.results.find("teacher") && report.results.find("hybrid");
  const std::string not_yet = "teacher and hybrid are not both done yet";
  report.parts_missing = both ? problem_of([&] { compare_parts(run, options, report); }) : not_yet;
  if (!report.parts_missing.empty()) report.parts.clear();
  read_curves(run, report);
  if (fs::exists(run / "search/front.json"))
    report.search_missing = problem_of([&] { report.search = read_search_results(run / "search"); });
  report.answers_missing = both ? problem_of([&] { read_answers(run, report); }) : not_yet;
  if (!report.answers_missing.empty())
    report.pictures_missing = report.answers_missing;
  else if (!options.test)
    report.pictures_missing = options.no_test;
  else
    report.pictures_missing = problem_of([&] { take_pictures(*options.test, report); });
  return report;
}

}  // namespace mfi
