#include "mfi/formats/onnx_file.h"

#include <protozero/pbf_message.hpp>
#include <protozero/pbf_writer.hpp>

#include <set>

#include "mfi/core/error.h"
#include "mfi/core/text.h"

namespace mfi {
namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;

// Numbers of the fields in onnx.proto.
namespace field {
constexpr uint32_t kModelIrVersion = 1, kModelProducer = 2, kModelProducerVersion = 3, kModelDescription = 6,
                   kModelGraph = 7, kModelOpset = 8, kModelMetadata = 14;
constexpr uint32_t kOpsetDomain = 1, kOpsetVersion = 2;
constexpr uint32_t kPairKey = 1, kPairValue = 2;
constexpr uint32_t kGraphNode = 1, kGraphName = 2, kGraphConstant = 5, kGraphInput = 11, kGraphOutput = 12;
constexpr uint32_t kNodeInput = 1, kNodeOutput = 2, kNodeName = 3, kNodeOp = 4, kNodeAttribute = 5;
constexpr uint32_t kAttributeName = 1, kAttributeFloat = 2, kAttributeInt = 3, kAttributeString = 4, kAttributeInts = 8,
                   kAttributeType = 20;
constexpr uint32_t kTensorDims = 1, kTensorType = 2, kTensorName = 8, kTensorRaw = 9;
constexpr uint32_t kValueName = 1, kValueType = 2;
constexpr uint32_t kTypeTensor = 1, kTensorTypeElement = 1, kTensorTypeShape = 2;
constexpr uint32_t kShapeDim = 1, kDimValue = 1, kDimName = 2;
}  // namespace field

// AttributeProto.AttributeType
constexpr int32_t kFloatAttribute = 1, kIntAttribute = 2, kStringAttribute = 3, kIntsAttribute = 7;

// ---- writing ----

template <class Write>
void add_message(pbf_writer& parent, uint32_t number, const Write& write) {
  pbf_writer child(parent, number);
  write(child);
}

void write_attribute(pbf_writer& out, const std::string& name, const OnnxAttribute& value) {
  out.add_string(field::kAttributeName, name);
  if (const auto* f = std::get_if<float>(&value)) {
    out.add_float(field::kAttributeFloat, *f);
    out.add_enum(field::kAttributeType, kFloatAttribute);
  } else if (const auto* i = std::get_if<int64_t>(&value)) {
    out.add_int64(field::kAttributeInt, *i);
    out.add_enum(field::kAttributeType, kIntAttribute);
  } else if (const auto* s = std::get_if<std::string>(&value)) {
    out.add_bytes(field::kAttributeString, *s);
    out.add_enum(field::kAttributeType, kStringAttribute);
  } else {
    for (const auto number : std::get<std::vector<int64_t>>(value)) out.add_int64(field::kAttributeInts, number);
    out.add_enum(field::kAttributeType, kIntsAttribute);
  }
}

void write_node(pbf_writer& out, const OnnxNode& node) {
  for (const auto& input : node.inputs) out.add_string(field::kNodeInput, input);
  for (const auto& output : node.outputs) out.add_string(field::kNodeOutput, output);
  out.add_string(field::kNodeName, node.name);
  out.add_string(field::kNodeOp, node.op);
  for (const auto& [name, value] : node.attributes)
    add_message(out, field::kNodeAttribute,
                [&, &n = name, &v = value](pbf_writer& child) { write_attribute(child, n, v); });
}

void write_tensor(pbf_writer& out, const OnnxTensor& tensor) {
  for (const auto side : tensor.shape) out.add_int64(field::kTensorDims, side);
  out.add_int32(field::kTensorType, static_cast<int32_t>(tensor.type));
  out.add_string(field::kTensorName, tensor.name);
  out.add_bytes(field::kTensorRaw, tensor.bytes);
}

void write_value(pbf_writer& out, const OnnxValue& value) {
  out.add_string(field::kValueName, value.name);
  add_message(out, field::kValueType, [&](pbf_writer& type) {
    add_message(type, field::kTypeTensor, [&](pbf_writer& tensor) {
      tensor.add_int32(field::kTensorTypeElement, static_cast<int32_t>(value.type));
      add_message(tensor, field::kTensorTypeShape, [&](pbf_writer& shape) {
        for (const auto& side : value.shape)
          add_message(shape, field::kShapeDim, [&](pbf_writer& dim) {
            if (const auto* number = std::get_if<int64_t>(&side))
              dim.add_int64(field::kDimValue, *number);
            else
              dim.add_string(field::kDimName, std::get<std::string>(side));
          });
      });
    });
  });
}

// ---- reading ----

using protozero::pbf_wire_type;

// A ResNet-152 has 4,000 of them. The limit keeps a hostile file, in which one takes two bytes, from taking a hundred
// times its size.
constexpr size_t kMostThings = 100'000;

// Takes a message apart field by field. protozero leaves it to its user to check that a field is of the kind that it is
// taken for, and the number of things a message may hold is ours to bound.
class OnnxReader {
 public:
  OnnxModel read_model(pbf_reader in) {
    OnnxModel model;
    model.ir_version = model.opset = 0;
    while (in.next()) switch (in.tag()) {
        case field::kModelIrVersion:
          model.ir_version = integer(in);
          break;
        case field::kModelProducer:
          model.producer = text(in);
          break;
        case field::kModelProducerVersion:
          model.producer_version = text(in);
          break;
        case field::kModelDescription:
          model.description = text(in);
          break;
        case field::kModelGraph:
          read_graph(message(in), model);
          break;
        case field::kModelOpset: {
          auto opset = message(in);
          while (opset.next()) {
            if (opset.tag() == field::kOpsetVersion)
              model.opset = integer(opset);
            else
              opset.skip();
          }
          break;
        }
        case field::kModelMetadata: {
          std::string key, value;
          auto pair = message(in);
          while (pair.next()) {
            if (pair.tag() == field::kPairKey)
              key = text(pair);
            else if (pair.tag() == field::kPairValue)
              value = text(pair);
            else
              pair.skip();
          }
          model.metadata[key] = value;
          break;
        }
        default:
          in.skip();
      }
    return model;
  }

 private:
  static void expect(const pbf_reader& in, pbf_wire_type type) {
    if (in.wire_type() != type)
      throw CheckpointError("not an ONNX file: its field " + std::to_string(in.tag()) + " is of another kind");
  }
  int64_t integer(pbf_reader& in) {
    expect(in, pbf_wire_type::varint);
    count();
    return in.get_int64();
  }
  int32_t small_integer(pbf_reader& in) {
    expect(in, pbf_wire_type::varint);
    return in.get_int32();
  }
  std::string text(pbf_reader& in) {
    expect(in, pbf_wire_type::length_delimited);
    count();
    return in.get_string();
  }
  pbf_reader message(pbf_reader& in) {
    expect(in, pbf_wire_type::length_delimited);
    count();
    return in.get_message();
  }
  void count() {
    if (++things_ > kMostThings)
      throw CheckpointError("it holds more than " + std::to_string(kMostThings) +
                            " nodes, names and numbers, which no classifier does");
  }

  OnnxAttribute read_attribute(pbf_reader in, std::string& name) {
    int32_t type = 0;
    float f = 0;
    int64_t i = 0;
    std::string s;
    std::vector<int64_t> ints;
    while (in.next()) switch (in.tag()) {
        case field::kAttributeName:
          name = text(in);
          break;
        case field::kAttributeFloat:
          expect(in, pbf_wire_type::fixed32);
          f = in.get_float();
          break;
        case field::kAttributeInt:
          i = integer(in);
          break;
        case field::kAttributeString:
          s = text(in);
          break;
        case field::kAttributeInts:
          ints.push_back(integer(in));
          break;
        case field::kAttributeType:
          type = small_integer(in);
          break;
        default:
          in.skip();
      }
    switch (type) {
      case kFloatAttribute:
        return f;
      case kIntAttribute:
        return i;
      case kStringAttribute:
        return s;
      case kIntsAttribute:
        return ints;
      default:
        throw CheckpointError("the attribute '" + shortened(name) + "' is of a kind that mfi does not read");
    }
  }

  OnnxNode read_node(pbf_reader in) {
    OnnxNode node;
    while (in.next()) switch (in.tag()) {
        case field::kNodeInput:
          node.inputs.push_back(text(in));
          break;
        case field::kNodeOutput:
          node.outputs.push_back(text(in));
          break;
        case field::kNodeName:
          node.name = text(in);
          break;
        case field::kNodeOp:
          node.op = text(in);
          break;
        case field::kNodeAttribute: {
          std::string name;
          auto value = read_attribute(message(in), name);
          node.attributes[name] = std::move(value);
          break;
        }
        default:
          in.skip();
      }
    return node;
  }

  OnnxTensor read_tensor(pbf_reader in) {
    OnnxTensor tensor;
    while (in.next()) switch (in.tag()) {
        case field::kTensorDims:
          tensor.shape.push_back(integer(in));
          break;
        case field::kTensorType:
          tensor.type = static_cast<OnnxType>(small_integer(in));
          break;
        case field::kTensorName:
          tensor.name = text(in);
          break;
        case field::kTensorRaw:
          tensor.bytes = text(in);
          break;
        default:
          in.skip();
      }
    return tensor;
  }

  std::variant<int64_t, std::string> read_side(pbf_reader in) {
    std::variant<int64_t, std::string> side = int64_t{0};
    while (in.next()) switch (in.tag()) {
        case field::kDimValue:
          side = integer(in);
          break;
        case field::kDimName:
          side = text(in);
          break;
        default:
          in.skip();
      }
    return side;
  }

  void read_tensor_type(pbf_reader type, OnnxValue& value) {
    while (type.next()) {
      if (type.tag() == field::kTensorTypeElement) {
        value.type = static_cast<OnnxType>(small_integer(type));
      } else if (type.tag() == field::kTensorTypeShape) {
        auto shape = message(type);
        while (shape.next(field::kShapeDim)) value.shape.push_back(read_side(message(shape)));
      } else {
        type.skip();
      }
    }
  }

  OnnxValue read_value(pbf_reader in) {
    OnnxValue value;
    while (in.next()) {
      if (in.tag() == field::kValueName) {
        value.name = text(in);
      } else if (in.tag() == field::kValueType) {
        auto type = message(in);
        while (type.next(field::kTypeTensor)) read_tensor_type(message(type), value);
      } else {
        in.skip();
      }
    }
    return value;
  }

  void read_graph(pbf_reader in, OnnxModel& model) {
    while (in.next()) switch (in.tag()) {
        case field::kGraphNode:
          model.nodes.push_back(read_node(message(in)));
          break;
        case field::kGraphName:
          model.graph_name = text(in);
          break;
        case field::kGraphConstant:
          model.constants.push_back(read_tensor(message(in)));
          break;
        case field::kGraphInput:
          model.inputs.push_back(read_value(message(in)));
          break;
        case field::kGraphOutput:
          model.outputs.push_back(read_value(message(in)));
          break;
        default:
          in.skip();
      }
  }

  size_t things_ = 0;
};

}  // namespace

size_t element_size(OnnxType type) {
  switch (type) {
    case OnnxType::uint8:
    case OnnxType::int8:
      return 1;
    case OnnxType::float16:
      return 2;
    case OnnxType::float32:
    case OnnxType::int32:
      return 4;
    case OnnxType::int64:
      return 8;
  }
  return 0;
}

std::string write_onnx(const OnnxModel& model) {
  std::string bytes;
  pbf_writer out(bytes);
  out.add_int64(field::kModelIrVersion, model.ir_version);
  out.add_string(field::kModelProducer, model.producer);
  out.add_string(field::kModelProducerVersion, model.producer_version);
  out.add_string(field::kModelDescription, model.description);
  add_message(out, field::kModelGraph, [&](pbf_writer& graph) {
    for (const auto& node : model.nodes)
      add_message(graph, field::kGraphNode, [&](pbf_writer& child) { write_node(child, node); });
    graph.add_string(field::kGraphName, model.graph_name);
    for (const auto& tensor : model.constants)
      add_message(graph, field::kGraphConstant, [&](pbf_writer& child) { write_tensor(child, tensor); });
    for (const auto& value : model.inputs)
      add_message(graph, field::kGraphInput, [&](pbf_writer& child) { write_value(child, value); });
    for (const auto& value : model.outputs)
      add_message(graph, field::kGraphOutput, [&](pbf_writer& child) { write_value(child, value); });
  });
  add_message(out, field::kModelOpset, [&](pbf_writer& opset) {
    opset.add_string(field::kOpsetDomain, "");
    opset.add_int64(field::kOpsetVersion, model.opset);
  });
  for (const auto& [key, value] : model.metadata)
    add_message(out, field::kModelMetadata, [&, &k = key, &v = value](pbf_writer& pair) {
      pair.add_string(field::kPairKey, k);
      pair.add_string(field::kPairValue, v);
    });
  return bytes;
}

OnnxModel parse_onnx(const std::string& bytes, const std::string& name) {
  try {
    return OnnxReader().read_model(pbf_reader(bytes));
  } catch (const protozero::exception& error) {
    throw CheckpointError(name + ": not an ONNX file, or cut off (" + error.what() + ")");
  } catch (const CheckpointError& error) {
    throw CheckpointError(name + ": " + error.what());
  }
}

std::string onnx_problem(const OnnxModel& model) {
  std::set<std::string> made, used;
  for (const auto& input : model.inputs)
    if (!made.insert(input.name).second) return "the input '" + shortened(input.name) + "' comes twice";
  for (const auto& constant : model.constants) {
    if (!made.insert(constant.name).second) return "'" + shortened(constant.name) + "' is made twice";
    uint64_t bytes = element_size(constant.type);
    if (bytes == 0) return "the constant '" + shortened(constant.name) + "' is of an unknown type";
    for (const auto side : constant.shape)
      if (side < 0 || __builtin_mul_overflow(bytes, static_cast<uint64_t>(side), &bytes))
        return "the constant '" + shortened(constant.name) + "' has a side that is not sound";
    if (bytes != constant.bytes.size())
      return "the constant '" + shortened(constant.name) + "' has " + std::to_string(constant.bytes.size()) +
             " bytes, its shape needs " + std::to_string(bytes);
  }
  for (const auto& node : model.nodes) {
    if (node.op.empty() || node.outputs.empty()) return "the node '" + shortened(node.name) + "' does or makes nothing";
    for (const auto& input : node.inputs) {
      if (input.empty()) continue;  // an optional input that is not given
      if (!made.contains(input))
        return "the node '" + shortened(node.name) + "' uses '" + shortened(input) + "' before it is made";
      used.insert(input);
    }
    for (const auto& output : node.outputs)
      if (!made.insert(output).second) return "'" + shortened(output) + "' is made twice";
  }
  if (model.outputs.empty()) return "nothing comes out";
  for (const auto& output : model.outputs) {
    if (!made.contains(output.name)) return "nothing makes the output '" + shortened(output.name) + "'";
    used.insert(output.name);
  }
  for (const auto& name : made)
    if (!used.contains(name)) return "nothing uses '" + shortened(name) + "'";
  return "";
}

}  // namespace mfi
