// The sections of report.html, in its order. Each is markup without its heading.
#pragma once

#include <string>

#include "mfi/report/html.h"
#include "mfi/report/run_report.h"

namespace mfi {

std::string outcome_section(const RunReport& report);    // the sentence, the table, the verdict
std::string parts_section(const RunReport& report);      // parameters, MACs and latency of each part
std::string curves_section(const RunReport& report);     // learning curves of each step
std::string mapping_section(const RunReport& report);    // how near each flow stage comes
std::string size_section(const RunReport& report);       // accuracy against size
std::string search_section(const RunReport& report);     // what a search has found; "" where there was none
std::string confusion_section(const RunReport& report);  // which classes are confused
std::string disputed_section(const RunReport& report);   // pictures on which teacher and hybrid disagree
std::string repeat_section(const RunReport& report);     // recipe, machine, versions, command

/// "1,234,567"
std::string grouped(int64_t number);
/// "57.8 %", "–" where there is nothing to take a share of.
std::string share_of(double part, double whole);
/// "+0.14", "-4.50", "0.00"; of what is printed, so that it agrees with what stands beside it.
std::string signed_points(double percent, double other_percent);
/// A paragraph in the place of what is missing.
std::string missing_markup(const std::string& what, const std::string& why);

}  // namespace mfi
