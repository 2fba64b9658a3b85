#include "mfi/pipeline/progress_json.h"

#include "mfi/core/json_number.h"

namespace mfi {

using Json = nlohmann::ordered_json;

Json progress_to_json(const Progress& progress) {
  Json json{{"step", progress.step},   {"epoch", progress.epoch},     {"epochs", progress.epochs},
            {"batch", progress.batch}, {"batches", progress.batches}, {"loss", progress.loss}};
  if (progress.accuracy_percent >= 0) json["accuracy_percent"] = progress.accuracy_percent;
  json["images_per_second"] = progress.images_per_second;
  json["seconds_left_in_step"] = progress.seconds_left_in_step;
  return json;
}

Progress progress_from_json(const Json& json) {
  Progress out;
  out.step = json.at("step");
  out.epoch = json.at("epoch");
  out.epochs = json.at("epochs");
  out.batch = json.at("batch");
  out.batches = json.at("batches");
  out.loss = number_from_json(json.at("loss"));
  if (json.contains("accuracy_percent")) out.accuracy_percent = number_from_json(json.at("accuracy_percent"));
  out.images_per_second = number_from_json(json.at("images_per_second"));
  out.seconds_left_in_step = number_from_json(json.at("seconds_left_in_step"));
  return out;
}

std::string json_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace mfi
