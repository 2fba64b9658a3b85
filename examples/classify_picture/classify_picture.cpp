// Says what is on a picture: loads a model that mfi made and prints the three most probable classes.
//
// usage: classify_picture MODEL PICTURE
#include <cstdio>
#include <cstdlib>

#include "mfi/core/error.h"
#include "mfi/deploy/classifier.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s MODEL PICTURE\n", argv[0]);
    return static_cast<int>(mfi::ExitCode::usage);
  }
  try {
    // The file says all there is to know: network, classes, and how a picture is to be resized and normalised.
    const auto classifier = mfi::Classifier::load(argv[1]);
    for (const auto& prediction : classifier.classify(argv[2], /*top=*/3))
      std::printf("%6.2f %%  %s\n", 100 * prediction.probability, prediction.class_name.c_str());
    return EXIT_SUCCESS;
  } catch (const mfi::Error& error) {
    // Each of mfi's errors says where, what was expected and what came, and has the exit code of the mfi command.
    std::fprintf(stderr, "classify_picture: %s\n", error.what());
    return static_cast<int>(error.exit_code());
  }
}
