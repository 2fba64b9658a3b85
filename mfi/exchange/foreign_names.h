// How other programs call the tensors of a ResNet.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mfi {

/// mfi's name (as named_tensors() of a Network has it) for the tensor that another program calls `key`, without regard
/// to shapes; "" when it is none of a plain ResNet's.
///
/// Known are the habits of torchvision and timm (layer1.0.conv1, bn1, downsample.0, fc), of CIFAR repositories
/// (shortcut.0, linear; conv2_x.0.residual_function.0; layer1.0.left.0; stage1.block1.conv1; stage_1.0.conv_a) and of
/// Hugging Face (encoder.stages.0.layers.0.layer.0.convolution), each also behind wrappers' prefixes: module.,
/// _orig_mod., model., backbone. and the like. A convolution's bias comes out as "....conv.bias".
std::string own_name(std::string_view key);

/// Whether the tensor does not matter: a batch norm's num_batches_tracked.
bool is_bookkeeping(std::string_view key);

/// What a network with these tensors beside a plain ResNet's most likely is: "squeeze-and-excitation (SE-ResNet)"; ""
/// when nothing comes to mind.
std::string likely_variant(const std::vector<std::string>& left_over);

}  // namespace mfi
