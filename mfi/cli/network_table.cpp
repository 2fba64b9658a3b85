#include "mfi/cli/network_table.h"

#include "mfi/core/text.h"
#include "mfi/nn/cost.h"
#include "mfi/report/text_table.h"

namespace mfi {

std::string stage_text(const StageArch& stage) {
  const auto number = [](int64_t n) { return static_cast<long long>(n); };
  if (const auto* flow = std::get_if<FlowArch>(&stage.body)) {
    auto text = format("flow: %lld module%s, hidden %lld", number(flow->modules), flow->modules == 1 ? "" : "s",
                       number(flow->hidden));
    if (flow->steps != flow->modules) text += format(", %lld steps", number(flow->steps));
    if (flow->depth != 1) text += format(", depth %lld", number(flow->depth));
    if (flow->kind == VelocityKind::pointwise) text += ", pointwise";
    if (flow->alignment != 1) text += format(", alignment %lldx%lld", number(flow->alignment), number(flow->alignment));
    return text;
  }
  const auto& blocks = std::get<BlocksArch>(stage.body);
  return format("%lld %s block%s, width %lld", number(blocks.count),
                blocks.kind == BlockKind::basic ? "basic" : "bottleneck", blocks.count == 1 ? "" : "s",
                number(blocks.width));
}

std::string network_table(const Arch& arch) {
  using Align = TextTable::Align;
  TextTable table(
      {{"part"}, {"what it is"}, {"output", Align::right}, {"parameters", Align::right}, {"MACs", Align::right}});
  const auto parts = part_costs(arch);
  for (size_t i = 0; i < parts.size(); ++i) {
    std::string what = i == 0                  ? "3x3 convolution"
                       : i + 1 == parts.size() ? "average and linear layer"
                                               : stage_text(arch.stages[i - 1]);
    const auto& cost = parts[i];
    table.add_row({cost.part, what,
                   i + 1 == parts.size()
                       ? std::to_string(arch.classes)
                       : format("%lld x %lld x %lld", static_cast<long long>(cost.out_channels),
                                static_cast<long long>(cost.out_size), static_cast<long long>(cost.out_size)),
                   count_text(static_cast<double>(cost.parameters)), count_text(static_cast<double>(cost.macs))});
  }
  const auto total = total_cost(arch);
  table.add_rule();
  table.add_row(
      {"all", "", "", count_text(static_cast<double>(total.parameters)), count_text(static_cast<double>(total.macs))});
  return table.text();
}

}  // namespace mfi
