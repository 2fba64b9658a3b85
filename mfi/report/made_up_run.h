// Results that no run ever reached, for the tests of this folder.
#pragma once

#include <string>

#include "mfi/pipeline/results.h"

namespace mfi {

inline StepResult made_up_step(const std::string& step, const std::string& network, int64_t parameters, int64_t macs,
                               double top1_percent, double seconds) {
  StepResult out;
  out.step = step;
  out.network = network;
  out.parameters = parameters;
  out.macs = macs;
  out.test_top1_percent = top1_percent;
  out.seconds = seconds;
  return out;
}

inline StepResult made_up_control(const std::string& step, double top1_percent) {
  auto out = made_up_step(step, "net-" + step, 800'000, 70'000'000, top1_percent, 30);
  out.control = true;
  return out;
}

/// A teacher of 1 M parameters at 91.00 %, a hybrid with 58 % of them at 91.20 %.
inline RunResults made_up_run() {
  RunResults out;
  out.run = "made-up";
  out.dataset = "cifar-10";
  out.training_images = 50'000;
  out.test_images = 10'000;
  out.machine = "a processor, 2 threads, AMX";
  out.version = "mfi 0.1.0, LibTorch 2.11.0";
  out.precision = "bf16";
  out.steps = {made_up_step("teacher", "resnet34-w16", 1'000'000, 72'000'000, 91.0, 3600),
               made_up_step("map", "meta of resnet34-w16", 230'000, 20'000'000, 70.125, 60),
               made_up_step("incubate-1", "hidden away", 1, 1, 1, 5),
               made_up_step("hybrid", "hybrid of resnet34-w16", 580'000, 68'000'000, 91.2, 120)};
  out.steps[2].shown = false;
  return out;
}

}  // namespace mfi
