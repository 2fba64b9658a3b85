#include "mfi/pipeline/student.h"

namespace mfi {

std::shared_ptr<Network> assemble_student(const PlannedStep& step, uint64_t seed, const FindModel& find) {
  auto student = std::make_shared<Network>(step.arch);
  initialise(*student, seed);
  for (size_t part = 0; part < student->part_count(); ++part)
    if (!step.part_from[part].empty()) copy_part(*find(step.part_from[part]), *student, part);
  return student;
}

}  // namespace mfi
