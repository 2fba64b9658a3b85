#include "mfi/search/search_results.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mfi/core/atomic_file.h"
#include "mfi/core/error.h"
#include "mfi/core/text.h"
#include "mfi/search/judgement.h"

namespace mfi {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json to_json(const SearchPoint& p) {
  return {{"name", p.name},
          {"stages", p.stages},
          {"parameters", p.parameters},
          {"macs", p.macs},
          {"milliseconds", p.milliseconds},
          {"divergence", p.divergence},
          {"measured_divergence", p.measured},
          {"held_out_percent", p.held_out_percent},
          {"seconds", p.seconds},
          {"on_front", p.on_front},
          {"chosen", p.chosen}};
}

SearchPoint point_from(const Json& json) {
  SearchPoint p;
  p.name = json.at("name");
  p.stages = json.at("stages").get<std::vector<std::string>>();
  p.parameters = json.at("parameters");
  p.macs = json.at("macs");
  p.milliseconds = json.at("milliseconds");
  p.divergence = json.at("divergence");
  p.measured = json.value("measured_divergence", p.measured);  // not there before mfi measured it
  p.held_out_percent = json.at("held_out_percent");
  p.seconds = json.value("seconds", p.seconds);
  p.on_front = json.at("on_front");
  p.chosen = json.at("chosen");
  return p;
}

Json to_json(const CandidateResult& c) {
  return {{"name", c.name},
          {"parameters", c.parameters},
          {"macs", c.macs},
          {"milliseconds", c.milliseconds},
          {"divergence", c.divergence}};
}

CandidateResult candidate_from(const Json& json) {
  return {json.at("name"), json.at("parameters"), json.at("macs"), json.at("milliseconds"), json.at("divergence")};
}

std::string csv_of(const SearchResults& results) {
  std::string text =
      "point,stages,parameters,parameters_share,macs,macs_share,milliseconds,milliseconds_share,divergence,"
      "measured_divergence,held_out_percent,drop,on_front,chosen\n";
  const auto& teacher = results.teacher;
  const auto row = [&](const SearchPoint& p) {
    const auto share = [](double part, double whole) { return format("%.4f", whole > 0 ? part / whole : 0); };
    text += p.name + "," + join(p.stages, " ") + "," + std::to_string(p.parameters) + "," +
            share(static_cast<double>(p.parameters), static_cast<double>(teacher.parameters)) + "," +
            std::to_string(p.macs) + "," + share(static_cast<double>(p.macs), static_cast<double>(teacher.macs)) + "," +
            format("%.4f", p.milliseconds) + "," + share(p.milliseconds, teacher.milliseconds) + "," +
            format("%.5f,%.5f,%.3f,%.3f", p.divergence, p.measured, p.held_out_percent,
                   teacher.held_out_percent - p.held_out_percent) +
            "," + (p.on_front ? "1" : "0") + "," + (p.chosen ? "1" : "0") + "\n";
  };
  row(teacher);
  for (const auto& point : results.points) row(point);
  return text;
}

}  // namespace

const SearchPoint* SearchResults::chosen() const {
  const auto found = std::find_if(points.begin(), points.end(), [](const auto& p) { return p.chosen; });
  return found == points.end() ? nullptr : &*found;
}

void write_search_results(const fs::path& folder, const SearchResults& r) {
  Json candidates = Json::array(), points = Json::array();
  for (const auto& stage : r.candidates) {
    Json list = Json::array();
    for (const auto& candidate : stage) list.push_back(to_json(candidate));
    candidates.push_back(list);
  }
  for (const auto& point : r.points) points.push_back(to_json(point));
  const Json json{{"run", r.run},
                  {"dataset", r.dataset},
                  {"machine", r.machine},
                  {"version", r.version},
                  {"target", r.target},
                  {"max_drop", r.max_drop},
                  {"held_out_images", r.held_out_images},
                  {"scored_images", r.scored_images},
                  {"tuned_epochs", r.tuned_epochs},
                  {"tuned_images", r.tuned_images},
                  {"mapping_seconds", r.mapping_seconds},
                  {"scoring_seconds", r.scoring_seconds},
                  {"teacher_held_out_percent", r.teacher_held_out_percent},
                  {"teacher", to_json(r.teacher)},
                  {"candidates", candidates},
                  {"points", points}};
  replace_file(folder / "front.csv", csv_of(r));
  replace_file(folder / "front.json", json.dump(2) + "\n");
}

SearchResults read_search_results(const fs::path& folder) {
  const auto file = folder / "front.json";
  const auto text = read_file(file);
  try {
    const auto json = Json::parse(text);
    SearchResults r;
    r.run = json.at("run");
    r.dataset = json.at("dataset");
    r.machine = json.at("machine");
    r.version = json.at("version");
    r.target = json.at("target");
    r.max_drop = json.at("max_drop");
    r.held_out_images = json.at("held_out_images");
    r.scored_images = json.at("scored_images");
    r.tuned_epochs = json.at("tuned_epochs");
    r.tuned_images = json.at("tuned_images");
    r.mapping_seconds = json.value("mapping_seconds", r.mapping_seconds);
    r.scoring_seconds = json.value("scoring_seconds", r.scoring_seconds);
    r.teacher_held_out_percent = json.at("teacher_held_out_percent");
    r.teacher = point_from(json.at("teacher"));
    for (const auto& stage : json.at("candidates")) {
      r.candidates.emplace_back();
      for (const auto& candidate : stage) r.candidates.back().push_back(candidate_from(candidate));
    }
    for (const auto& point : json.at("points")) r.points.push_back(point_from(point));
    first_target(r);  // throws where it is none
    return r;
  } catch (const nlohmann::json::exception& error) {
    throw DataError(file.string() + ": is not what mfi search writes: " + error.what());
  } catch (const UsageError& error) {
    throw DataError(file.string() + ": is not what mfi search writes: " + error.what());
  }
}

}  // namespace mfi
