// A chart of points that have names.
#pragma once

#include <string>
#include <vector>

namespace mfi {

struct ScatterPoint {
  std::string label;
  double x = 0, y = 0;
  double y_room = 0;        // half the length of a line through it: how far chance reaches; 0: none
  size_t style = 0;         // of its mark
  std::string x_text = {};  // what is shown of x where one points at the mark
};

struct ScatterChart {
  std::string title;
  std::string x_label, y_label;
  std::vector<ScatterPoint> points;      // those that are not finite are left out
  std::vector<std::string> styles = {};  // what each mark stands for
};

/// x is logarithmic where the points are far apart. Each label stands where it covers no other, nor a point; one that
/// has to stand apart has a line to its point.
std::string scatter_chart(const ScatterChart& chart);

/// A rectangle in a chart's units.
struct ChartBox {
  double left = 0, top = 0, right = 0, bottom = 0;
  bool overlaps(const ChartBox& other) const {
    return left < other.right && other.left < right && top < other.bottom && other.top < bottom;
  }
};

/// Places for labels of these widths, as near as can be to their points, within `area`, free of each other, of all
/// points' marks and of `obstacles`. An empty box where there is no room at all.
std::vector<ChartBox> place_labels(const std::vector<std::pair<double, double>>& points,
                                   const std::vector<double>& widths, double height, const ChartBox& area,
                                   const std::vector<ChartBox>& obstacles = {});

}  // namespace mfi
