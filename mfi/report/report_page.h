// report.html: a run as one page that needs nothing but itself.
#pragma once

#include <string>

#include "mfi/report/run_report.h"

namespace mfi {

/// The whole page: HTML that is well-formed XML too, without scripts and without anything to fetch. What is missing in
/// `report` has its place all the same, with the reason.
std::string report_page(const RunReport& report);

/// A page of this look. body: markup of its sections, each from page_section.
std::string whole_page(const std::string& title, const std::string& header, const std::string& body);

/// A section with its heading.
std::string page_section(const std::string& id, const std::string& title, const std::string& markup);

}  // namespace mfi
